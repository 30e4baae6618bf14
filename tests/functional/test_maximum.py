"""The maximum: that of NumPy, with the gradient of `jnp.max`, and one where rounding differs between two passes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax.functional import _maximum
from gequi_jax.functional._maximum import maximum

AXES = (0, -1, (1, 2), (2, 1), (0, -1), (0, 1, 2, 3))


@pytest.fixture
def x(key):
    """Small integers, so that many entries are equally large."""
    return jax.random.randint(key, (3, 4, 2, 5), -2, 3).astype(jnp.float32)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [True, False])
def test_value_and_gradient_are_those_of_jnp_max(axis, keepdims, x):
    np.testing.assert_array_equal(maximum(x, axis, keepdims=keepdims), np.max(x, axis=axis, keepdims=keepdims))
    weights = jax.random.normal(jax.random.key(1), np.shape(np.max(x, axis=axis, keepdims=keepdims)))
    gradients = [
        jax.grad(lambda x, reduce=reduce: (weights * reduce(x, axis, keepdims=keepdims)).sum())(x)
        for reduce in (maximum, jnp.max)
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-6)
    assert (np.asarray(gradients[0]) != 0).sum() > weights.size  # of entries that are equally large, all share


def test_forward_mode_batches_and_types(x):
    np.testing.assert_array_equal(jax.vmap(lambda y: maximum(y, (0, -1)))(x), np.max(x, axis=(1, 3)))
    tangents = [jax.jvp(functools.partial(f, axis=(1, 2)), (x,), (2 * x,))[1] for f in (maximum, jnp.max)]
    np.testing.assert_allclose(*tangents)
    assert jax.grad(lambda y: maximum(y, (0, 1)).sum())(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_the_gradient_finds_the_largest_entry_though_no_entry_equals_the_maximum(x, monkeypatch):
    """As when a compiler computes the operand once more for the backward pass, and rounds it otherwise."""
    x = x + jax.random.uniform(jax.random.key(2), x.shape)
    expected = jax.grad(lambda y: jnp.sin(maximum(y, (1, 2))).sum())(x)
    exact = jnp.max
    monkeypatch.setattr(_maximum.jnp, "max", lambda y, **axes: jnp.nextafter(exact(y, **axes), jnp.inf))
    assert not (x >= jnp.max(x, axis=(1, 2), keepdims=True)).any()
    got = jax.grad(lambda y: jnp.sin(maximum(y, (1, 2))).sum())(x)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_what_is_not_a_number_is_not_hidden(x):
    with jax.debug_nans(False):
        spoilt = x.at[0, 0, 0, 0].set(jnp.nan)
        found = np.isnan(maximum(spoilt, (1, 2)))
    assert found.sum() == 1
    assert found[0, 0]
