"""Networks as ONNX, which programs without JAX run."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gequi_jax import functional
from gequi_jax._typing import Array
from gequi_jax.export._inference import inference_function, require, resolve_input_shape
from gequi_jax.export._plain import to_plain
from gequi_jax.nn import FrameSelfAttention

_ALL_CHANNELS = 2**31


def to_onnx(
    model: nnx.Module,
    path: str | Path,
    *,
    input_shape: Sequence[int] | None = None,
    preprocessing: Callable[[Array], Array] | None = None,
) -> None:
    """Writes a network, its weights included, as an ONNX graph for batches of any size.

    The graph has one input, float32 images `[batch, *spatial, channels]`, and one output, the logits. With
    `session = onnxruntime.InferenceSession("model.onnx")`, the logits of images are
    `session.run(None, {session.get_inputs()[0].name: images})[0]`.

    The converter, jax2onnx, follows the releases of JAX with a delay: version 0.17 converts every network under JAX 0.10, and
    under JAX 0.12 those without self-attention and attention to responses. Install it in an environment of its own.

    Args:
      model: the network; it is exported in `eval()` mode, with plain layers.
      path: the file.
      input_shape: `(*spatial, channels)` of one image; `model.input_shape` by default.
      preprocessing: a function of JAX from images to the inputs of the network, which becomes part of the graph.

    Raises:
      ValueError: if the input shape is unknown, or the converter has no form for an operator; the message names it.
      ImportError: if jax2onnx is missing; the message has the command that installs it.
    """
    require("jax2onnx", "to_onnx")
    jax2onnx = importlib.import_module("jax2onnx")
    shape = resolve_input_shape(model, input_shape)
    plain: Any = to_plain(model)
    # All scores and all responses at once: plain operations in place of loops with a backward pass of their own.
    plain.set_attributes(_has_a_plain_form, implementation="reference", raise_if_not_found=False)
    plain.set_attributes(block_size=_ALL_CHANNELS, raise_if_not_found=False)
    predict = inference_function(plain, preprocessing)
    images = jax.ShapeDtypeStruct(("batch", *shape), jnp.float32)
    try:
        # The forms of layers that the converter puts in place promote ranks and types, which users may forbid.
        promotion = jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard")
        with functional.assumed_platform("default"), promotion[0], promotion[1]:
            jax2onnx.to_onnx(predict, [images], output_path=str(path), return_mode="file")
    except Exception as error:  # The converter raises errors of many kinds where it does not know an operator.
        first_line = str(error).partition("\n")[0]
        raise ValueError(f"model: jax2onnx cannot express an operator of this network: {first_line}") from error


def _has_a_plain_form(path: tuple, module: Any) -> bool:
    """Attention by frames is `jax.nn.dot_product_attention`, which the converter knows."""
    return not isinstance(module, FrameSelfAttention)
