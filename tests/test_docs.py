"""Documentation that runs: tutorials, examples in docstrings, links between pages."""

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import gequi_jax

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted(path for path in (ROOT / "docs" / "tutorials").glob("*.md") if path.name != "index.md")
NOTEBOOKS = [*TUTORIALS, ROOT / "docs" / "pitfalls.md"]
SITE = {page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts}
PAGES = sorted([*ROOT.glob("*.md"), *SITE, *(ROOT / "experiments").glob("*.md")])
MODULES = ["gequi_jax", *(found.name for found in pkgutil.walk_packages(gequi_jax.__path__, "gequi_jax."))]

for_each_tutorial = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
for_each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(text: str) -> list[str]:
    """The Python of every code cell of a MyST notebook, without the options of the cell."""
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\A(:[^\n]*\n)+", "", cell) for cell in cells]


def test_every_tutorial_is_found():
    assert len(TUTORIALS) == 9


@pytest.mark.slow
@for_each_notebook
def test_notebook_runs(path, tmp_path):
    """All cells in order, as one program in a process of its own."""
    print(run_program("\n".join(code_cells(path.read_text())), tmp_path))


def test_first_example_of_the_readme_runs(tmp_path):
    first, *_ = readme_examples()
    assert "assert_equivariant" in first.splitlines()[-1]
    assert len(first.splitlines()) <= 10
    run_program(first, tmp_path)


@pytest.mark.slow
def test_all_examples_of_the_readme_run(tmp_path):
    run_program("\n".join(readme_examples()), tmp_path)


def readme_examples() -> list[str]:
    """The blocks of Python in the README."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def run_program(code: str, folder: Path) -> str:
    """Runs code in a process of its own and returns its output."""
    program = folder / "program.py"
    program.write_text(code)
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": python_path}
    done = subprocess.run(
        [sys.executable, program], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@for_each_tutorial
def test_tutorial_is_a_notebook_with_an_exercise(path):
    text = path.read_text()
    header = text.split("---")[1]
    assert "jupytext:" in header
    assert "format_name: myst" in header
    assert "kernelspec:" in header
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[-1] == "Exercise"
    cells = code_cells(text)
    assert len(cells) == text.count("```{code-cell}")
    for number, cell in enumerate(cells):
        compile(cell, f"{path.name}, cell {number}", "exec")
    # The solution of the exercise is checked too.
    assert "assert" in cells[-1]


@for_each_notebook
def test_notebook_uses_public_names_alone(path):
    code = "\n".join(code_cells(path.read_text()))
    assert re.findall(r"(?:gequi_jax|experiments)[\w.]*\._\w+|import _\w+", code) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Relative links, which GitHub and the documentation site both follow."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)]
    missing = [link for link in links if not (path.parent / link.split("#")[0]).exists()]
    assert missing == []


def test_every_page_is_in_the_site():
    """Each page is named by a table of contents, and each name is a page."""
    named = set()
    for page in SITE:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            named |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    assert named == SITE - {ROOT / "docs" / "index.md"}


def _examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder().find(module, name) if test.examples]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODULES if _examples(name)])
def test_examples_in_docstrings(name):
    failures = []
    runner = doctest.DocTestRunner(verbose=False)
    # As a user has it, not under the strict rules of the other tests.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for test in _examples(name):
            runner.run(test, out=failures.append)
    assert not failures, "".join(failures)


@pytest.fixture
def docstrings(monkeypatch):
    """The module of the site that converts docstrings."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("_docstrings")


@pytest.mark.parametrize(
    ("plain", "typeset"),
    [
        ("(L_g f)(x) = f(g^-1 x)", "(L_{g} f)(x) = f(g^{-1} x)"),
        ("y(h) = sum_c W2(h^-1 m)", r"y(h) = \sum _{c} W_{2}(h^{-1} m)"),
        ("q . k / sqrt(var f + epsilon)", r"q \cdot  k / \sqrt{\operatorname{var} f + \epsilon}"),
        ("tau[pose_index[h, a, b]]", r"\tau [\mathrm{pose\_index}[h, a, b]]"),
        ("f(., h) over all heads", r"f(\cdot , h) \text{ over all heads }"),
        ("sum_{j in h N(i)} x_j", r"\sum _{j \in  h N(i)} x_{j}"),
        ("3x3 -> y", r"3\times 3 \to  y"),
    ],
)
def test_equations_become_latex(plain, typeset, docstrings):
    assert docstrings._equations.latex(plain) == typeset


def test_a_displayed_equation_continues_until_its_brackets_are_balanced(docstrings):
    text = ["Summary.", "", "    y = f(", "      x )", "    z = y", "", "Prose with `a_b` and g_."]
    expected = ["Summary.", "", ".. math::", "", "    y = f( x )", "", ".. math::", "", "    z = y", ""]
    assert docstrings.converted(text) == [*expected, "", "Prose with ``a_b`` and g\\_."]


def test_every_equation_of_the_reference_can_be_typeset(docstrings):
    """Matplotlib parses them; it knows a part of what MathJax knows."""
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("agg")
    rows = {row for text in _public_docstrings() for row in _equation_rows(docstrings, text)}
    assert len(rows) > 20
    for row in rows:
        parser.parse(f"${row}$".replace(r"\star", "*"))
    with pytest.raises(ValueError, match="sqrt"):
        parser.parse(r"$\sqrt{x$")


def _public_docstrings() -> set[str]:
    modules = [importlib.import_module(name) for name in MODULES if "._" not in name]
    values = [value for module in modules for name, value in vars(module).items() if not name.startswith("_")]
    documented = [inspect.getdoc(value) for value in values if inspect.isclass(value) or inspect.isfunction(value)]
    return {text for text in documented if text}


def _equation_rows(docstrings, text: str) -> list[str]:
    lines, rows, end = text.splitlines(), [], 0
    for position in range(len(lines)):
        if position >= end and (end := docstrings.equation_end(lines, position)) > position:
            rows += docstrings._equations.rows(lines[position:end])
    return rows
