"""Measuring imports nothing that draws, and drawing an untrained layer imports nothing that trains."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "experiments" / "visualize"


def is_measure(path):
    return "measure" in path.relative_to(FOLDER).with_suffix("").parts


MEASURES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
    if is_measure(path)
)


def imported(statements):
    """The names of all modules after some statements in a process of their own."""
    program = f"{statements}\nimport sys\nprint()\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def of_training(modules):
    """The modules with the optimisers; optax itself is imported by Flax."""
    return {name for name in modules if name.startswith("experiments.training.")}


def test_every_picture_measures_and_draws_apart():
    pictures = {path.parent for path in FOLDER.rglob("command.py")}
    assert len(pictures) == 4
    for folder in pictures:
        for part in ("measure", "draw"):
            assert (folder / part).is_dir() or (folder / f"{part}.py").is_file()


def test_measuring_imports_nothing_that_draws():
    modules = imported("\n".join(f"import {name}" for name in MEASURES))
    assert set(MEASURES) <= modules
    assert not {name for name in modules if name.split(".")[0] == "matplotlib"}
    assert not of_training(modules)
    assert not {name for name in modules if name.startswith("experiments.visualize") and "draw" in name.split(".")}


def test_drawing_an_untrained_layer_imports_nothing_that_trains(tmp_path):
    modules = imported(
        "from experiments.visualize.__main__ import main\n"
        f"main(['steerability', '--window-sizes=3', '--seeds=1', '--out={tmp_path}'])"
    )
    assert "matplotlib" in modules
    assert not of_training(modules)
