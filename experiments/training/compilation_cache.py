"""JAX's persistent compilation cache: the second run of a network starts without compiling it again."""

import pathlib

import jax

# Programs that compile faster than this are not worth a file.
_MIN_COMPILE_SECONDS = 0.5


def enable(folder: str, workdir: pathlib.Path) -> None:
    """Keeps compiled programs in a folder, for this process.

    Args:
      folder: the folder; "auto" is `compilation_cache` beside the work directory, and "off" keeps none. A folder that JAX
        already has, from the environment variable JAX_COMPILATION_CACHE_DIR, goes before "auto".
      workdir: the work directory of the run.
    """
    if folder == "off" or (folder == "auto" and jax.config.jax_compilation_cache_dir):
        return
    path = workdir.absolute().parent / "compilation_cache" if folder == "auto" else pathlib.Path(folder).absolute()
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_SECONDS)
