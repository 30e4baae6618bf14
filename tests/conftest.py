"""What every test runs under: strict types and ranks, full matrix precision, 64 bits where a test asks for them."""

import jax
import pytest

jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def x64():
    """Runs a test with 64-bit types. Flax's norms ask for the wider of two types, which strict promotion refuses."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield
