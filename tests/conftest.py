"""What every test runs under: strict types and ranks, full matrix precision, 64 bits where a test asks for them."""

import jax
import pytest

jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Every new shape of random numbers is a program of its own, and JAX's default generator takes seconds to compile on a
# CPU; most of the time of this suite went there. This one takes a fifth. What is tested depends on neither.
jax.config.update("jax_default_prng_impl", "rbg")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def x64():
    """Runs a test with 64-bit types. Flax's norms ask for the wider of two types, which strict promotion refuses."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield
