"""The transposed group convolution layer: the function it calls, its parameters and its errors."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, nn
from gequi_jax.actions import round_window
from gequi_jax.groups import cyclic_group

GROUP = cyclic_group(4)


def test_the_module_calls_the_function():
    options = {"strides": 2, "padding": 1, "window_mask": round_window}
    layer = nn.GroupConvTranspose(
        2, 3, 4, group=GROUP, **options, bias_init=nnx.initializers.normal(), rngs=nnx.Rngs(0)
    )
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 3, 4, 2)), jnp.float32)
    expected = functional.group_conv_transpose(x, layer.kernel[...], group=GROUP, **options)
    np.testing.assert_allclose(layer(x), expected + layer.bias[...].reshape(1, 1, 1, 1, 3), atol=1e-6)
    assert layer(x).shape == (1, 6, 6, 4, 3)


def test_parameters_and_types():
    layer = nn.GroupConvTranspose(2, 3, 3, group=GROUP, use_bias=False, dtype="bfloat16", rngs=nnx.Rngs(0))
    assert layer.bias is None
    assert layer.kernel.shape == (3, 3, 4, 2, 3)
    assert layer(jnp.ones((1, 3, 3, 4, 2))).dtype == jnp.bfloat16


def test_what_breaks_equivariance_is_rejected_when_the_layer_is_built():
    with pytest.raises(ValueError, match="which breaks equivariance; use an odd window"):
        nn.GroupConvTranspose(2, 3, 4, group=GROUP, strides=2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="expected 2 input channels"):
        nn.GroupConvTranspose(2, 3, 3, group=GROUP, rngs=nnx.Rngs(0))(jnp.ones((1, 3, 3, 4, 5)))
