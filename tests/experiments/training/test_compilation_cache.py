"""Which folder keeps compiled programs."""

import jax
import pytest

from experiments.training import compilation_cache

NAMES = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def workdir(tmp_path):
    """A work directory, in a process without a cache; its settings are restored."""
    before = {name: getattr(jax.config, name) for name in NAMES}
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path / "runs" / "mine"
    for name, value in before.items():
        jax.config.update(name, value)


def test_auto_is_beside_the_work_directory(workdir):
    compilation_cache.enable("auto", workdir)
    assert jax.config.jax_compilation_cache_dir == str(workdir.parent / "compilation_cache")


def test_auto_leaves_a_folder_that_jax_has(workdir):
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    compilation_cache.enable("auto", workdir)
    assert jax.config.jax_compilation_cache_dir == "elsewhere"


def test_a_folder_and_off(workdir, tmp_path):
    compilation_cache.enable("off", workdir)
    assert jax.config.jax_compilation_cache_dir is None
    compilation_cache.enable(str(tmp_path / "programs"), workdir)
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "programs")
