"""The layers of the house: who may import whom, and that nothing public is undocumented."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gequi_jax"
LAYERS = [
    "_typing",
    "_checks",
    "_modules",
    "_padding",
    "_random_mask",
    "_version",
    "groups",
    "actions",
    "functional",
    "nn",
    "models",
    "interop",
    "export",
]
ALLOWED = {name: set(LAYERS[: index + 1]) for index, name in enumerate(LAYERS)}
ALLOWED["testing"] = {"_typing", "_checks", "groups", "actions", "testing"}
FOREIGN = {"experiments", "tests", "tensorflow", "tensorflow_datasets", "optax", "orbax", "grain", "torch", "scipy"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    layer = path.relative_to(PACKAGE).parts[0]
    for module in imported_modules(path):
        top, *rest = module.split(".")
        assert top not in FOREIGN, f"{path.name} imports {module}"
        if top == "gequi_jax":
            assert rest[0] in ALLOWED[layer], f"{layer} may not import {rest[0]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_modules_stay_inside_their_package(path):
    """A module whose name starts with an underscore is imported only by files of the package that it lies in."""
    for module in imported_modules(path):
        hidden = private_package(module)
        if hidden is not None:
            assert path.is_relative_to(PACKAGE.parent.joinpath(*hidden)), f"{path.name} imports {module}"


def private_package(module: str) -> list[str] | None:
    """The package of the first private module of an import, if there is one; that of `_checks` is the whole library."""
    parts = module.split(".")
    private = next((index for index, part in enumerate(parts) if part.startswith("_") and part != "__future__"), None)
    return parts[:private] if parts[0] == "gequi_jax" and private is not None else None


def test_a_private_import_across_packages_is_seen():
    assert private_package("gequi_jax.functional._conv.lifting_conv") == ["gequi_jax", "functional"]
    assert private_package("gequi_jax._checks.check_group") == ["gequi_jax"]
    assert private_package("gequi_jax.functional.lifting_conv") is None


def test_there_are_files_to_check():
    assert {path.relative_to(PACKAGE).parts[0] for path in FILES} >= {"groups", "actions", "functional", "nn", "models"}


def public_names():
    for subpackage in ("groups", "actions", "functional", "nn", "models", "testing", "interop", "export"):
        module = importlib.import_module(f"gequi_jax.{subpackage}")
        for name, value in vars(module).items():
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                yield pytest.param(value, id=f"{subpackage}.{name}")


@pytest.mark.parametrize("value", list(public_names()))
def test_public_names_have_docstrings_that_end_their_first_line(value):
    documentation = inspect.getdoc(value)
    assert documentation, f"{value} has no docstring"
    assert documentation.splitlines()[0].rstrip().endswith((".", ":"))
