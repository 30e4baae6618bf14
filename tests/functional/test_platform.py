"""Plans by platform: chosen at lowering, through every transformation, and for the platform lowered for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax.functional._platform import by_platform, unavailable


def scaled(x):
    return by_platform(lambda factor, x: factor * x, x, cpu=2.0, tpu=3.0, default=5.0)


def test_transformations_use_the_plan_of_the_platform():
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(scaled(x), 2 * x)
    np.testing.assert_array_equal(jax.jit(scaled)(x), 2 * x)
    np.testing.assert_array_equal(jax.vmap(scaled)(x), 2 * x)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(scaled)))(x), 2.0)
    np.testing.assert_array_equal(jax.grad(lambda x: jax.checkpoint(scaled)(x).sum())(x), 2.0)


def test_only_the_plan_of_the_platform_is_lowered():
    for platform, factor in (("cpu", "2.0"), ("tpu", "3.0"), ("cuda", "5.0")):
        program = jax.jit(scaled).trace(jnp.ones(3)).lower(lowering_platforms=(platform,)).as_text()
        constants = [other for other in ("2.0", "3.0", "5.0") if f"dense<{other}" in program]
        assert constants == [factor]


def test_equal_plans_are_traced_once():
    plans = []

    def function(plan, x):
        plans.append(plan)
        return x

    by_platform(function, jnp.ones(3), cpu=4, tpu=4, default=4)
    assert plans == [4]
    jax.make_jaxpr(lambda x: by_platform(function, x, cpu=1, tpu=2, default=2))(jnp.ones(3))
    assert sorted(plans[1:]) == [1, 2]


def test_a_platform_without_an_implementation_is_refused_when_lowered_for():
    def function(plan, x):
        return unavailable(jax.eval_shape(jnp.sin, x), "no sine here") if plan is None else jnp.sin(x)

    traced = jax.jit(jax.vmap(lambda x: by_platform(function, x, cpu=1, tpu=1, default=None))).trace(jnp.ones((2, 3)))
    np.testing.assert_allclose(traced.lower().compile()(jnp.ones((2, 3))), np.sin(1.0), rtol=1e-6)
    traced.lower(lowering_platforms=("tpu",))
    with pytest.raises(ValueError, match="no sine here"):
        traced.lower(lowering_platforms=("cuda",))
