"""What all exports share: a network as a function of images, its input, and libraries that are extras."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx

from gequi_jax._typing import Array


def inference_function(model: nnx.Module, preprocessing: Callable[[Array], Array] | None) -> Callable[[Array], Any]:
    """The network in `eval()` mode as a function of images, which are preprocessed first; the network is unchanged."""
    copy: Any = nnx.clone(model)
    copy.eval()
    graph, state = nnx.split(copy)

    def predict(images: Array) -> Any:
        x = images if preprocessing is None else preprocessing(images)
        return nnx.merge(graph, state)(x)

    return predict


def resolve_input_shape(model: nnx.Module, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    """The shape of one image, by default that for which the network was built.

    Raises:
      ValueError: if the network does not know it.
    """
    shape = getattr(model, "input_shape", None) if input_shape is None else input_shape
    if shape is None:
        raise ValueError(
            f"input_shape: expected (*spatial, channels), since {type(model).__name__} has no attribute input_shape; got None."
        )
    return tuple(int(size) for size in shape)


def require(library: str, function: str) -> None:
    """Checks that the library of an extra is installed.

    Raises:
      ImportError: if not, with the command that installs it.
    """
    if importlib.util.find_spec(library) is None:
        extra = {"flatbuffers": "export"}.get(library, "onnx")
        raise ImportError(f"{function} needs {library}, which is not installed: pip install 'gequi_jax[{extra}]'")
