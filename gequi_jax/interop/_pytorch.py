"""The three public functions, which call the module of the source."""

from collections.abc import Mapping
from types import ModuleType
from typing import Literal

import numpy as np
from flax import nnx
from jaxtyping import Int

from gequi_jax._checks import check_choice
from gequi_jax.groups import FiniteGroup
from gequi_jax.interop import _att_gconvs, _g_selfatt

Source = Literal["g_selfatt", "att_gconvs"]

_SOURCES: dict[str, ModuleType] = {"g_selfatt": _g_selfatt, "att_gconvs": _att_gconvs}


def load_pytorch(module: nnx.Module, state_dict: Mapping[str, np.ndarray], *, source: Source) -> nnx.Module:
    """Fills a layer or a model with published arrays, in place.

    Every array is used or named in an error; if there is an error, the module does not change.

    Args:
      module: a layer or model of this package, of the architecture of the arrays.
      state_dict: the arrays by their published names, as NumPy.
      source: "g_selfatt", the code of Romero & Cordonnier (2021), or "att_gconvs", that of Romero et al. (2020).

    Returns:
      The same module.

    Raises:
      ValueError: if the source is unknown, or arrays are missing, spare or of another shape; the message names them.
    """
    return _source(source).load(module, _arrays(state_dict))


def from_pytorch(model_name: str, state_dict: Mapping[str, np.ndarray], *, source: Source) -> nnx.Module:
    """Builds a model of `gequi_jax.models` that computes what the published network with these arrays computes.

    Args:
      model_name: a name of `gequi_jax.models.list_models`.
      state_dict: the arrays by their published names, as NumPy.
      source: "g_selfatt", the code of Romero & Cordonnier (2021), or "att_gconvs", that of Romero et al. (2020).

    Returns:
      The model, in `eval()` mode.

    Raises:
      ValueError: if the source is unknown or has no such model, or arrays are missing, spare or of another shape; the
        message names them.
    """
    return _source(source).build(model_name, _arrays(state_dict))


def element_order(source: Source, group: FiniteGroup) -> Int[np.ndarray, " group"]:
    """The positions in our group of the elements of a published group: `ours[..., p[v], ...] = theirs[..., v, ...]`.

    Args:
      source: "g_selfatt", the code of Romero & Cordonnier (2021), or "att_gconvs", that of Romero et al. (2020).
      group: our group.

    Returns:
      The permutation p.

    Raises:
      ValueError: if the source is unknown or has no such group.
    """
    return _source(source).element_order(group)


def _source(name: str) -> ModuleType:
    check_choice("source", name, _SOURCES)
    return _SOURCES[name]


def _arrays(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in state_dict.items()}
