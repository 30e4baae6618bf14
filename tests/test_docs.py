"""Documentation that runs: tutorials, examples in docstrings, links between pages."""

import doctest
import importlib
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
SITE = {page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts}
PAGES = sorted([*ROOT.glob("*.md"), *SITE, *(ROOT / "experiments").glob("*.md")])
MODULES = ["gequi_jax", *(found.name for found in pkgutil.walk_packages(gequi_jax.__path__, "gequi_jax."))]

for_each_tutorial = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)


def code_cells(text: str) -> list[str]:
    """The Python of every code cell of a MyST notebook, without the options of the cell."""
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"\A(:[^\n]*\n)+", "", cell) for cell in cells]


def test_there_are_six_tutorials():
    assert len(TUTORIALS) == 6


@pytest.mark.slow
@for_each_tutorial
def test_tutorial_runs(path, tmp_path):
    """All cells in order, as one program in a process of its own."""
    program = tmp_path / f"{path.stem}.py"
    program.write_text("\n".join(code_cells(path.read_text())))
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": python_path}
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]


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
    # What it promises it shows, the solution of its exercise among it.
    assert "assert" in cells[-1]


@for_each_tutorial
def test_tutorial_uses_public_names_alone(path):
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


@pytest.mark.parametrize("name", [name for name in MODULES if _examples(name)])
def test_examples_in_docstrings(name):
    failures = []
    runner = doctest.DocTestRunner(verbose=False)
    # As a user has it, not under the strict rules of the other tests.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for test in _examples(name):
            runner.run(test, out=failures.append)
    assert not failures, "".join(failures)
