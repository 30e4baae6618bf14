"""Runs of these tests compile the same programs again and again: they share a compilation cache."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

EVERYTHING = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}


def configure(settings):
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX looks at the folder once, when it first compiles


@pytest.fixture(scope="module", autouse=True)
def shared_programs(tmp_path_factory):
    settings = {**EVERYTHING, "jax_compilation_cache_dir": str(tmp_path_factory.getbasetemp() / "programs")}
    before = {name: getattr(jax.config, name) for name in settings}
    configure(settings)
    yield
    configure(before)
