"""The layers of experiments/: each package imports only those below it, optax stays in training, measuring never draws."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Each may import those before it.
LAYERS = [
    "errors",
    "huge_pages",
    "config",
    "data",
    "trained",
    "results",
    "training",
    "runs",
    "report",
    "main",
    "benchmark",
    "visualize",
    "predict_masks",
    "predict",
    "evaluate",
]
FILES = sorted(
    path for path in (ROOT / "experiments").rglob("*.py") if path.parent.name != "experiments" or path.stem in LAYERS
)
DRAWING = ("matplotlib", "experiments.results.plots", "experiments.results.pictures", "experiments.visualize.style")


def name_of(path):
    """The dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in FILES}


def imports(path, *, lazy):
    """The modules that a file imports; those imported inside functions only if `lazy`."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(name for alias in node.names if (name := f"{node.module}.{alias.name}") in NAMES)
    return found


def reached(name):
    """Every module that importing a module of experiments imports, as far as experiments decides."""
    seen, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in NAMES:
            waiting += imports(NAMES[module], lazy=False)
            waiting += [parent for parent in [module.rpartition(".")[0]] if parent in NAMES]
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_packages_import_only_those_below(name):
    layer = name.split(".")[1]
    for module in imports(NAMES[name], lazy=True):
        top, *rest = module.split(".")
        assert top != "tests", f"{name} imports {module}"
        if top == "experiments" and rest:
            assert LAYERS.index(rest[0]) <= LAYERS.index(layer), f"{name} imports {module}"


@pytest.mark.parametrize("name", NAMES)
def test_no_package_imports_a_private_module_of_another(name):
    for module in imports(NAMES[name], lazy=True):
        private = [index for index, part in enumerate(module.split(".")) if part.startswith("_") and part != "__main__"]
        if private and module.split(".")[0] in ("experiments", "gequi_jax"):
            owner = ".".join(module.split(".")[: private[0]])
            assert name == owner or name.startswith(f"{owner}."), f"{name} imports {module}"


@pytest.mark.parametrize("name", NAMES)
def test_no_module_imports_a_private_name_of_another_package(name):
    for node in ast.walk(ast.parse(NAMES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("experiments.", "gequi_jax.")):
            package = node.module.rpartition(".")[0]
            for alias in node.names:
                assert not alias.name.startswith("_") or name.startswith(package), f"{name} imports {alias.name}"


@pytest.mark.parametrize("name", NAMES)
def test_only_training_imports_optax(name):
    if not name.startswith("experiments.training"):
        assert not {module.split(".")[0] for module in imports(NAMES[name], lazy=True)} & {"optax"}


MEASURING = [name for name in NAMES if any(part.startswith("measure") for part in name.split("."))]


@pytest.mark.parametrize("name", MEASURING)
def test_measuring_imports_no_drawing(name):
    for module in reached(name):
        assert not module.startswith(DRAWING), f"{name} reaches {module}"
        assert "draw" not in module.split("."), f"{name} reaches {module}"


def test_drawing_an_untrained_layer_imports_no_training():
    assert [module for module in reached("experiments.visualize.__main__") if "experiments.training" in module] == []


def test_the_command_line_imports_no_jax():
    """--help and mistakes in the flags do not wait for JAX."""
    libraries = {module.split(".")[0] for module in reached("experiments.main")}
    assert not libraries & {"jax", "flax", "gequi_jax", "optax"}


def test_there_is_something_to_check():
    assert {name.split(".")[1] for name in NAMES} >= set(LAYERS)
    assert len(MEASURING) >= 4
    assert "matplotlib.figure" in reached("experiments.results.plots")
