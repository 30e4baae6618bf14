"""Docstrings as reStructuredText: equations, names in backticks, and characters with a meaning of their own."""

import re
from typing import TYPE_CHECKING

import _equations

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_INDENT = "    "


def as_restructured_text(app: "Sphinx", what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Converts the plain text of a docstring in place; `autodoc-process-docstring` calls it.

    Equations (blocks indented by four spaces after an empty line) become displayed mathematics, and names in backticks
    become literals. Characters that mean something else in reStructuredText are escaped. Examples stay as they are.
    """
    lines[:] = converted(lines)


def converted(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText.

    Args:
      lines: without the indentation that all of them share.
    """
    result: list[str] = []
    in_example = in_name = False
    position = 0
    while position < len(lines):
        line = lines[position]
        end = equation_end(lines, position)
        if end > position:
            for row in _equations.rows(lines[position:end]):
                result += [".. math::", "", _INDENT + row, ""]
            position = end
            continue
        if not line.strip():
            in_example = in_name = False
        elif line.lstrip().startswith(">>>"):
            in_example = True
        if line.strip() and not in_example:
            line, in_name = _escaped(line, in_name)
        result.append(line)
        position += 1
    return result


def equation_end(lines: list[str], start: int) -> int:
    """Where the equation that begins at a line ends; `start` itself if none begins there."""
    after_blank = start == 0 or not lines[start - 1].strip()
    if not after_blank or not _is_indented(lines[start]) or lines[start].lstrip().startswith(">>>"):
        return start
    end = start
    while end < len(lines) and _is_indented(lines[end]):
        end += 1
    return end


def _is_indented(line: str) -> bool:
    return line.startswith(_INDENT) and bool(line.strip())


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
