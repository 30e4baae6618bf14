r"""The equations of docstrings as LaTeX: `sum_m psi(h^-1 m)` becomes `\sum_{m} \psi(h^{-1} m)`.

Docstrings keep their equations in plain text, which reads well in a terminal. The site typesets them.
"""

import re

_GREEK = {"alpha", "epsilon", "mu", "omega", "phi", "pi", "psi", "rho", "sigma", "tau"}
_OPERATORS = {"cos", "exp", "log", "max", "min", "sin", "sum"}
_CONNECTIVES = {"and", "for", "if", "of", "or", "over", "to", "where", "with"}
_SYMBOLS = {
    "in": r"\in ",
    "->": r"\to ",
    "<-": r"\leftarrow ",
    ">=": r"\geq ",
    "<=": r"\leq ",
    "...": r"\dots ",
    ".": r"\cdot ",
    "*": r"\star ",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "%": r"\%",
    "&": r"\&",
}
_WORD = r"[A-Za-z]{2,}(?![A-Za-z0-9]|[_^(\[])"
_TOKEN = re.compile(
    rf"""
    (?P<prose>{_WORD}(?:\ {_WORD})+)                      # two or more words in a row
    | (?P<identifier>[A-Za-z]{{2,}}_[A-Za-z]{{2,}}(?=\[))  # the name of a variable, such as pose_index
    | (?P<root>sqrt(?=\())
    | (?P<script>[_^](?:\{{[^}}]*\}}|-?[A-Za-z0-9]+))
    | (?P<times>(?<=\d)x(?=\d))
    | (?P<index>(?<=[A-Za-z])(?<!\dx)\d+)
    | (?P<decimal>\d+\.\d+)
    | (?P<word>[A-Za-z]+)
    | (?P<gap>\ {{2,}})
    | (?P<symbol>->|<-|>=|<=|\.\.\.|[.*{{}}\#%&])
    | (?P<other>.)
    """,
    re.VERBOSE,
)


def latex(equation: str) -> str:
    """One equation in LaTeX.

    Args:
      equation: plain text, such as `y(x) = max_h f(x, h)`.
    """
    parts, position = [], 0
    while position < len(equation):
        match = _TOKEN.match(equation, position)
        position = match.end()
        if match.lastgroup == "root":
            end = _closing_bracket(equation, position)
            parts.append(rf"\sqrt{{{latex(equation[position + 1 : end])}}}")
            position = end + 1
        else:
            parts.append(_token(match.lastgroup, match[0]))
    return "".join(parts).strip()


def rows(lines: list[str]) -> list[str]:
    """The rows of a displayed equation in LaTeX; a row continues over lines until its brackets are balanced.

    Args:
      lines: the lines of the block in the docstring.
    """
    complete, row = [], ""
    for line in map(str.strip, lines):
        row = f"{row} {line}".strip()
        if row and sum(map(row.count, "([{")) == sum(map(row.count, ")]}")):
            complete.append(latex(row))
            row = ""
    return complete + ([latex(row)] if row else [])


def _token(kind: str, text: str) -> str:
    match kind:
        case "prose":
            return rf"\text{{ {text} }}"
        case "identifier":
            return r"\mathrm{" + text.replace("_", r"\_") + "}"
        case "script":
            return text[0] + "{" + latex(text[1:].strip("{}")) + "}"
        case "index":
            return f"_{{{text}}}"
        case "times":
            return r"\times "
        case "word":
            return _word(text)
        case "gap":
            return r"\quad "
        case "symbol":
            return _SYMBOLS[text]
        case _:
            return text


def _word(word: str) -> str:
    if word in _GREEK or word in _OPERATORS:
        return rf"\{word} "
    if word in _SYMBOLS:
        return _SYMBOLS[word]
    if word in _CONNECTIVES:
        return rf"\text{{ {word} }}"
    return word if len(word) == 1 or re.fullmatch("d[a-z]", word) else rf"\operatorname{{{word}}}"


def _closing_bracket(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if depth == 0:
            return position
    raise ValueError(f"equation: expected balanced brackets; got {text!r}.")
