"""What every test runs under: strict types and ranks, full matrix precision, 64 bits where a test asks for them."""

import os

import jax
import jaxtyping
import pytest

from tests import annotations

# Before the first import of the library, here and in every worker of pytest-xdist.
jaxtyping.install_import_hook("gequi_jax", f"{annotations.__name__}.check_arrays")

jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config):
    """Compiles quickly where compilation is most of the time; `-m full_size` and `-m ""` run optimised programs.

    XLA's older emitters compile several times faster; an XLA without them ignores the option.
    """
    if config.option.markexpr in ("not slow and not full_size", "slow"):
        jax.config.update("jax_disable_most_optimizations", True)
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # for the processes that tests start
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"


def pytest_collection_modifyitems(items):
    """A test of both marks would run at full size in continuous integration."""
    for item in items:
        if item.get_closest_marker("slow") and item.get_closest_marker("full_size"):
            raise pytest.UsageError(f"{item.nodeid}: expected at most one of the marks slow and full_size; got both")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def x64():
    """Runs a test with 64-bit types. Flax's norms ask for the wider of two types, which strict promotion refuses."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def unchecked_arrays():
    """Leaves the annotations of arrays unchecked, for a test that breaks them on purpose."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
