"""The documentation site: `python -m sphinx -W --keep-going -b html docs docs/_build`.

The build runs the cells of all notebooks and shows their outputs. It keeps the outputs in `docs/_build` and reruns only the
notebooks that changed. `GEQUI_DOCS_EXECUTE=force` reruns all of them, and `off` none. A cell that fails makes the build
fail.
"""

import inspect
import os
import re
import sys
from pathlib import Path

from flax import nnx
from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

import gequi_jax

sys.path.insert(0, str(Path(__file__).parent))

from _docstrings import as_restructured_text

project = "gequi_jax"
author = "The gequi_jax authors"
copyright = author
version = release = gequi_jax.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "gequi_jax"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
# Long equations break into lines.
mathjax4_config = {"output": {"displayOverflow": "linebreak"}}

# Compilation takes most of the time of the notebooks, so their programs are barely optimised.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
nb_execution_mode = os.environ.get("GEQUI_DOCS_EXECUTE", "cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_cache_path = os.path.join(os.path.dirname(__file__), "_build", ".jupyter_cache")
nb_merge_streams = True
# JAX reports missing accelerators there.
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# One entry may describe several arguments.
napoleon_use_param = False

RESULTS = "../experiments/RESULTS.md"


def tidy_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Signatures with the names that a reader knows, and those of `__init__`, which the metaclass of NNX hides."""
    if inspect.isclass(obj) and issubclass(obj, nnx.Module):
        arguments, result = stringify_signature(signature(obj.__init__, bound_method=True)), ""
    return arguments and _tidy(arguments), result and _tidy(result)


def _tidy(text: str) -> str:
    text = re.sub(r"<function (\w+)(?:\.<locals>[.\w]*)?(?: at 0x\w+)?>", r"\1", text)
    text = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", text)
    # What numpy.typing.ArrayLike and jax.typing.DTypeLike stand for takes several lines.
    text = re.sub(r"~?[\w.]*_Buffer \| .*?_NestedSequence\[complex \| bytes \| str\]", "ArrayLike", text)
    text = re.sub(r"str \| type\[.*?SupportsDType\b", "DTypeLike", text)
    return re.sub(r"~?\b(?:[a-z_]\w*\.)+(?=[A-Z]\w*)", "", text).replace("~", "")


def point_to_results(app: Sphinx, docname: str, source: list[str]) -> None:
    """A link to the results, which lie outside this folder, leads to their page on the site."""
    if docname != "results":
        source[0] = source[0].replace(f"({RESULTS})", "(results.md)")


def setup(app: Sphinx) -> None:
    """Connects the functions above; docstrings are converted before napoleon reads them."""
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("source-read", point_to_results)
