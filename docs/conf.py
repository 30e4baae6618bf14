"""The documentation site: `python -m sphinx -W --keep-going -b html docs docs/_build`.

Tutorials appear without their outputs, which takes seconds. `GEQUI_DOCS_EXECUTE=force` runs all their cells, and `cache`
those that changed; a cell that fails then fails the build.
"""

import inspect
import os
import re

from flax import nnx
from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

import gequi_jax

project = "gequi_jax"
author = "The gequi_jax authors"
copyright = author
version = release = gequi_jax.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "gequi_jax"
html_show_sphinx = False

nb_execution_mode = os.environ.get("GEQUI_DOCS_EXECUTE", "off")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_cache_path = os.path.join(os.path.dirname(__file__), "_build", ".jupyter_cache")
nb_merge_streams = True
# What JAX says of accelerators that are not there is no part of a tutorial.
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# One entry may describe several arguments.
napoleon_use_param = False

RESULTS = "../experiments/RESULTS.md"


def as_restructured_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Makes the plain text of a docstring what it means in reStructuredText.

    Names in backticks become literals, equations (four spaces from the margin, after an empty line) literal blocks, and
    characters that mean something else there are escaped. Examples stay as they are.
    """
    converted: list[str] = []
    in_equation = in_example = in_name = False
    for line in lines:
        blank_before = not converted or not converted[-1].strip()
        if not line.strip():
            in_example = in_name = False
        elif line.lstrip().startswith(">>>"):
            in_example = True
        elif in_equation:
            in_equation = line.startswith("    ") or not blank_before
        if not in_example and not in_equation and blank_before and line.startswith("    "):
            converted += [".. code-block:: text", ""]
            in_equation = True
        if line.strip() and not in_example and not in_equation:
            line, in_name = _escaped(line, in_name)
        converted.append(line)
    lines[:] = converted


def _escaped(line: str, in_name: bool) -> tuple[str, bool]:
    """The line, and whether it ends within backticks; it begins there with `in_name`."""
    parts = []
    for index, part in enumerate(line.split("`")):
        in_name = in_name if index == 0 else not in_name
        parts.append(part if in_name else _escaped_prose(part))
    return "``".join(parts), in_name


def _escaped_prose(text: str) -> str:
    # Stars that open a list or the name of an argument are meant.
    start = re.match(r"\s*(\* |\*{1,2}\w+:)?", text)
    kept = start[0] if start else ""
    rest = re.sub(r"([*|])", r"\\\1", text[len(kept) :])
    return kept + re.sub(r"(?<=\w)_(?!\w)", r"\\_", rest)


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
