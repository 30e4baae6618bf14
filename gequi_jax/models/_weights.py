"""Networks to files of weights and back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from gequi_jax._version import __version__
from gequi_jax.models._families import find_family
from gequi_jax.models._restrict import restrict
from gequi_jax.models._spec import ModelSpec, spec_of
from gequi_jax.models._weights_file import WeightsInfo, read_info, read_weights, write_weights

_PRETRAINED = Path(__file__).parent / "weights"


def save_weights(
    model: nnx.Module,
    path: str | Path,
    *,
    preprocessing: Mapping[str, Any] | None = None,
    classes: Sequence[str] = (),
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Writes the parameters and the batch statistics of a network to a safetensors file.

    The metadata hold what `load_model` needs to build the network again: its name, its arguments and the subgroups to
    which it was restricted.

    Args:
      model: a network from `create_model` or `load_model`, restricted or not.
      path: the file, `*.safetensors` by convention.
      preprocessing: how images become inputs, as plain data, such as `{"mean": [0.13], "std": [0.3]}`.
      classes: the name of each logit.
      metrics: what was measured, as plain data, such as `{"test_accuracy": 97.5}`.

    Raises:
      ValueError: if the network was not made by `create_model`, or an argument is neither plain data nor a public name of
        this package.
    """
    spec = spec_of(model)
    if spec.unsaved:
        raise ValueError(
            f"model: its argument {spec.unsaved[0]} cannot be written to a file; expected plain data or a public name of "
            "gequi_jax."
        )
    info = WeightsInfo(spec, dict(preprocessing or {}), tuple(classes), dict(metrics or {}), __version__)
    write_weights(path, info, {name: np.asarray(leaf) for name, leaf in _leaves(model).items()})


def load_model(path: str | Path, *, rngs: nnx.Rngs | None = None) -> nnx.Module:
    """The network of a file of weights, in `eval()` mode.

    Args:
      path: a file that `save_weights` wrote.
      rngs: the random streams of dropout, for further training; `nnx.Rngs(0)` by default.

    Raises:
      ValueError: if the file is damaged, altered, of another format version, or does not fit the network it names.
    """
    info, arrays = read_weights(path)
    return _restored(info, arrays, {}, rngs, str(path))


def weights_info(path: str | Path) -> WeightsInfo:
    """The metadata of a file of weights: name, arguments, preprocessing, classes, metrics and version.

    Args:
      path: a file that `save_weights` wrote.

    Raises:
      ValueError: if the file is damaged or of another format version.
    """
    return read_info(path)


def pretrained_names() -> list[str]:
    """The names of the networks whose trained weights come with the package: one file each in `models/weights`."""
    return sorted(path.stem for path in _PRETRAINED.glob("*.safetensors"))


def pretrained_info(name: str) -> WeightsInfo | None:
    """The metadata of the trained weights of a network, None if there are none."""
    path = _PRETRAINED / f"{name}.safetensors"
    return read_info(path) if path.exists() else None


def pretrained_model(name: str, overrides: Mapping[str, Any], rngs: nnx.Rngs) -> nnx.Module:
    """A network with the trained weights that come with the package, in `eval()` mode.

    Raises:
      ValueError: if there are none, or they do not fit the overrides.
    """
    find_family(name)
    if name not in pretrained_names():
        raise ValueError(
            f"pretrained: expected one of {', '.join(pretrained_names())}; got {name!r}, which has no trained weights."
        )
    info, arrays = read_weights(_PRETRAINED / f"{name}.safetensors")
    return _restored(info, arrays, overrides, rngs, f"the pretrained weights of {name}")


def _restored(
    info: WeightsInfo,
    arrays: Mapping[str, np.ndarray],
    overrides: Mapping[str, Any],
    rngs: nnx.Rngs | None,
    where: str,
) -> nnx.Module:
    outline = nnx.eval_shape(lambda: _built(info.spec, overrides))
    expected = {name: (leaf.shape, leaf.dtype) for name, leaf in _leaves(outline).items()}
    got = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            raise ValueError(
                f"weights: {info.name} expects {name} with (shape, type) {expected.get(name)}; {where} has "
                f"{got.get(name)}; use the arguments that the network was trained with."
            )
    graph, random, weights = nnx.split(outline, nnx.RngState, ...)
    named = {_name(path): path for path, _ in jax.tree.leaves_with_path(weights)}
    assert named.keys() == arrays.keys()
    filled = jax.tree_util.tree_map_with_path(lambda path, leaf: jax.numpy.asarray(arrays[_name(path)]), weights)
    model = nnx.merge(graph, _random_state(random, rngs or nnx.Rngs(0)), filled)
    model.eval()
    return model


def _built(spec: ModelSpec, overrides: Mapping[str, Any]) -> nnx.Module:
    family, _ = find_family(spec.name)
    arguments = {**spec.keyword_arguments(), **overrides}
    model: Any = family.network(**arguments, rngs=nnx.Rngs(0))
    model.spec = ModelSpec.of(spec.name, arguments)
    for subgroup in spec.restricted_to:
        model = restrict(model, subgroup)
    return model


def _random_state(random: nnx.State, rngs: nnx.Rngs) -> nnx.State:
    """Keys for the streams of dropout, and counts of 0."""

    def value(leaf):
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.split(rngs.params(), leaf.shape) if leaf.shape else rngs.params()
        return jax.numpy.zeros(leaf.shape, leaf.dtype)

    return jax.tree.map(value, random)


def _leaves(model: nnx.Module) -> dict[str, Any]:
    """The arrays of a network by their names, without random streams."""
    _, _, weights = nnx.split(model, nnx.RngState, ...)
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(weights)}


def _name(path: Sequence[Any]) -> str:
    """A path such as `convs.0.kernel`."""
    keys = (getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path)
    return ".".join(str(key) for key in keys if key not in ("value", ".value"))
