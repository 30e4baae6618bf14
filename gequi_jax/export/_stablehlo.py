"""Networks as StableHLO, which any program with JAX runs, on a CPU, a GPU or a TPU."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
from flax import nnx

from gequi_jax._typing import Array
from gequi_jax.export._inference import inference_function, require, resolve_input_shape


def to_stablehlo(
    model: nnx.Module,
    path: str | Path,
    *,
    input_shape: Sequence[int] | None = None,
    input_dtype: jax.typing.DTypeLike = jnp.float32,
    preprocessing: Callable[[Array], Array] | None = None,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
) -> None:
    """Writes a network, its weights included, as a program for batches of any size.

    The file needs neither this package nor Flax. With
    `program = jax.export.deserialize(bytearray(pathlib.Path("model.stablehlo").read_bytes()))`, the logits are
    `program.call(images)`.

    Args:
      model: the network; it is exported in `eval()` mode.
      path: the file.
      input_shape: `(*spatial, channels)` of one image; `model.input_shape` by default.
      input_dtype: the type of the images, such as `jnp.uint8` with a preprocessing that converts them.
      preprocessing: a function of JAX from images to the inputs of the network, which becomes part of the program.
      platforms: where the program runs: any of "cpu", "cuda", "rocm" and "tpu", whatever the machine that exports.

    Raises:
      ValueError: if the input shape is unknown.
      ImportError: if flatbuffers is missing; the message has the command that installs it.
    """
    require("flatbuffers", "to_stablehlo")
    shape = resolve_input_shape(model, input_shape)
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *shape), input_dtype)
    program = jax.export.export(jax.jit(inference_function(model, preprocessing)), platforms=platforms)(images)
    Path(path).write_bytes(program.serialize())
