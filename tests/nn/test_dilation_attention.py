"""The layers on the dilation-translation group: sizes, parameters and errors; the mathematics is tested with functional."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax.groups import DyadicDilations
from gequi_jax.nn import FourierEncoding, GroupDilationSelfAttention, LiftingDilationSelfAttention


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_shapes_in_every_dimension(dim):
    dilations = DyadicDilations(2, dim=dim)

    def attend_twice():
        options = {"dilations": dilations, "num_heads": 2, "qkv_features": 8, "rngs": nnx.Rngs(0)}
        lifted = LiftingDilationSelfAttention(3, 6, **options)(jnp.ones((2, *(5,) * dim, 3)))
        return lifted, GroupDilationSelfAttention(6, 5, **options)(lifted)

    lifted, attended = nnx.eval_shape(attend_twice)
    assert lifted.shape == (2, *(5,) * dim, 2, 6)
    assert attended.shape == (2, *(5,) * dim, 2, 5)


def test_a_layer_at_scale_one_is_a_dense_window_and_commutes_with_translations():
    layer = LiftingDilationSelfAttention(
        1, 4, dilations=DyadicDilations(3), num_heads=2, position_encoding=FourierEncoding, rngs=nnx.Rngs(0)
    )
    x = np.zeros((1, 25, 25, 1), np.float32)
    x[0, 12, 12] = 1.0
    y = layer(x) - layer(0 * x)
    moved = layer(np.roll(x, 2, axis=1)) - layer(0 * x)
    np.testing.assert_allclose(np.roll(y, 2, axis=1), moved, atol=1e-6)
    # The keys of scale h are those at multiples of h.
    for index, h in enumerate((1, 2, 4)):
        reached = np.argwhere(np.abs(y[0, ..., index, :]).max(axis=-1) > 1e-6) - 12
        assert {abs(int(step)) for step in np.unique(reached)} == {0, h}


def test_errors():
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="dilations: expected scales such as"):
        LiftingDilationSelfAttention(1, 4, dilations=3, num_heads=2, rngs=rngs)
    with pytest.raises(ValueError, match="divisible by num_heads=3; got 4"):
        LiftingDilationSelfAttention(1, 4, dilations=DyadicDilations(2), num_heads=3, rngs=rngs)
    with pytest.raises(ValueError, match="haar_weights: expected one of"):
        LiftingDilationSelfAttention(1, 4, dilations=DyadicDilations(2), num_heads=2, haar_weights="yes", rngs=rngs)
    with pytest.raises(ValueError, match="scale_window: expected 1 to 2 scales; got 3"):
        GroupDilationSelfAttention(4, 6, dilations=DyadicDilations(2), num_heads=2, scale_window=3, rngs=rngs)
    layer = GroupDilationSelfAttention(4, 6, dilations=DyadicDilations(2), num_heads=2, rngs=rngs)
    with pytest.raises(ValueError, match=r"expected \[batch, \*spatial, scale, 4\]"):
        layer(jnp.ones((1, 5, 5, 4)))
    with pytest.raises(ValueError, match="num_scales: expected a positive integer; got 0"):
        DyadicDilations(0)


def test_haar_weights_of_the_scales():
    dilations = DyadicDilations(3, dim=2)
    np.testing.assert_array_equal(dilations.scales, [1, 2, 4])
    np.testing.assert_array_equal(dilations.lifting_weights, [1, 1 / 4, 1 / 16])
    np.testing.assert_array_equal(dilations.group_weights, [1, 1 / 8, 1 / 64])
    np.testing.assert_array_equal(dilations.octave_weights, [1, 1 / 4, 1 / 16])
    assert dilations == DyadicDilations(3)
    assert hash(dilations) == hash(DyadicDilations(3))
