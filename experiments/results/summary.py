"""The end of a run: the test split read once, equivariance on real images, pictures, summary.json."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from experiments import data
from experiments.config import Config
from experiments.config import validation as settings
from experiments.results import equivariance, logs, metrics, plots
from experiments.results.environment import environment
from experiments.trained.build import model_group
from experiments.trained.inside import lifted_maps
from experiments.training.evaluation import predict
from experiments.training.parallel import Layout
from experiments.training.step import Program, TrainState
from gequi_jax import actions, groups

FILE = "summary.json"
RECORDED = pathlib.Path(__file__).parent / "recorded"


def evaluate_run(
    config: Config,
    program: Program,
    state: TrainState,
    dataset: data.Dataset,
    *,
    layout: Layout,
    workdir: pathlib.Path,
    model: Callable[[], nnx.Module],
    statistics: dict[str, Any],
) -> dict[str, Any]:
    """Measures the chosen weights on the test split and draws the pictures.

    Args:
      config: of the run.
      program: its compiled functions.
      state: with the chosen weights.
      dataset: its test split is read here, once.
      layout: the devices.
      workdir: where the pictures go.
      model: makes the trained network (of the first seed) for looking inside.
      statistics: of the loop.

    Returns:
      The summary, plain data.
    """
    test = dataset.test()
    arguments = {"batch_size": config.eval_batch_size, "layout": layout}
    logits, labels = predict(program, state, test, **arguments)
    measured = metrics.summarize(logits, labels)
    accuracies = np.atleast_1d(measured["accuracy"])
    result = {
        "model": config.model,
        "dataset": dataset.name,
        "epochs": config.num_epochs,
        "seeds": list(range(config.seed, config.seed + config.num_seeds)),
        "parameters": program.num_parameters,
        "num_train": len(dataset.train),
        "num_test": len(labels),
        "test_accuracy": float(accuracies.mean()),
        "test_accuracy_by_seed": accuracies.tolist(),
        "test_accuracy_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "test_accuracy_interval": metrics.confidence_interval(float(accuracies.mean()), len(labels)),
        "test_loss": float(np.mean(measured["loss"])),
        "calibration_error": float(np.mean(metrics.calibration_error(logits, labels))),
        "confusion_matrix": metrics.confusion_matrix(logits, labels).tolist(),
        "quarter_turn_accuracy": None,
        **statistics,
    }
    rows, columns, _ = dataset.image_shape
    group = model_group(config)
    if rows == columns:
        turns = groups.cyclic_group(4)
        transforms = [equivariance.transformed(turns, element) for element in range(1, 4)]
        turned = [predict(program, state, test, transform=turn, **arguments)[0] for turn in transforms]
        result["quarter_turn_accuracy"] = [
            float(np.mean(metrics.summarize(values, labels)["accuracy"])) for values in [logits, *turned]
        ]
        sample = test.fetch(np.arange(min(config.equivariance_images, len(test))))["image"]
        result["equivariance"] = {
            "group": group.name,
            **equivariance.logit_changes(program, state, sample, group=group, layout=layout),
        }
    result["environment"] = environment()
    result["config"] = settings.as_plain(config)
    if jax.process_index() == 0:
        _draw(result, test, logits, labels, workdir, group, model)
    return result


def save(result: dict[str, Any], workdir: pathlib.Path) -> None:
    """Writes summary.json, all of it or nothing."""
    temporary = workdir / f"{FILE}.tmp"
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    temporary.replace(workdir / FILE)


def load(workdir: pathlib.Path) -> dict[str, Any] | None:
    """The summary of a finished run, or None."""
    try:
        return json.loads((workdir / FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return None


def comparison(result: dict[str, Any]) -> dict[str, Any]:
    """What a summary quotes of another run."""
    names = (
        "model",
        "dataset",
        "epochs",
        "parameters",
        "test_accuracy",
        "test_accuracy_interval",
        "quarter_turn_accuracy",
    )
    return {**{name: result[name] for name in names}, "seed": result["seeds"][0]}


def recorded(config: Config) -> dict[str, Any] | None:
    """The recorded run of the network without the group, where there is one on this data set."""
    path = RECORDED / f"{config.z2_model}.json"
    if not path.exists():
        return None
    run = json.loads(path.read_text())
    return run if run["dataset"].startswith(config.dataset) else None


def show(result: dict[str, Any], workdir: pathlib.Path) -> None:
    """Prints the summary."""
    table = Table(title=f"{result['model']} on {result['dataset']}", show_header=False)
    for name, value in _lines(result, workdir):
        table.add_row(name, value)
    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print(table)
        return
    print(f"summary of {result['model']} on {result['dataset']}")
    for name, value in _lines(result, workdir):
        print(f"  {name}: {value}")


def _lines(result: dict[str, Any], workdir: pathlib.Path) -> list[tuple[str, str]]:
    low, high = result["test_accuracy_interval"]
    seeds = ""
    if result["test_accuracy_std"] is not None:
        seeds = f", mean of {len(result['seeds'])} seeds, standard deviation {100 * result['test_accuracy_std']:.2f}"
    lines = [
        (
            "test accuracy",
            f"{100 * result['test_accuracy']:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f}, "
            f"{result['num_test']:,} images{seeds})",
        )
    ]
    if result["quarter_turn_accuracy"]:
        turns = ", ".join(f"{100 * accuracy:.2f}" for accuracy in result["quarter_turn_accuracy"])
        moved = result["equivariance"]
        lines += [
            ("at 0, 90, 180, 270 degrees", f"{turns} %"),
            (
                "largest change of any logit",
                f"{moved['absolute']:.2e}, relative {max(moved['relative']):.2e}, under "
                f"{len(moved['elements'])} elements of {moved['group']}",
            ),
        ]
    lines += [
        ("calibration error", f"{100 * result['calibration_error']:.2f} %"),
        ("parameters", f"{result['parameters']:,}"),
        (
            "images a second",
            f"{result['images_per_second']:,.0f} ({100 * result['waiting_for_input']:.1f} % of the time waiting for input)",
        ),
        (
            "time",
            f"{result['seconds']:.0f} s, of which {result['compile_seconds']:.0f} s compiling; best epoch {result['best_epoch']}",
        ),
    ]
    if result.get("z2"):
        other = result["z2"]
        source = f"recorded: {other['command']}" if "command" in other else "trained here"
        lines.append(
            (
                "without the group",
                f"{100 * other['test_accuracy']:.2f} % by {other['model']}, {other['parameters']:,} parameters ({source})",
            )
        )
    lines.append(("files", f"{workdir} (summary.json, metrics.jsonl, tensorboard, checkpoints, *.png)"))
    return lines


def _draw(
    result: dict[str, Any],
    test: data.Source,
    logits: np.ndarray,
    labels: np.ndarray,
    workdir: pathlib.Path,
    group: groups.FiniteGroup,
    model: Callable[[], nnx.Module],
) -> None:
    plots.learning_curve(logs.read_metrics(workdir), workdir / "learning_curve.png")
    images = np.asarray(data.as_unit_range(jnp.asarray(test.fetch(np.arange(min(60, len(test))))["image"])))
    first = logits if logits.ndim == 2 else logits[0]
    plots.predictions(images, first, labels, workdir / "predictions.png")
    plots.confusion(np.asarray(result["confusion_matrix"]), workdir / "confusion.png")
    elements = actions.grid_preserving_elements(group)
    if images.shape[1] != images.shape[2] or len(elements) < 2:
        return
    # The quarter turn, or whatever comes first after the identity.
    turned = equivariance.transformed(group, elements[1])(images[:1])
    normalize = data.NORMALIZATIONS[result["config"]["normalization"]]
    maps = lifted_maps(model(), normalize(jnp.asarray(np.concatenate([images[:1], turned]))))
    if maps is not None:
        plots.feature_maps(images[0], turned[0], np.asarray(maps[0]), np.asarray(maps[1]), workdir / "feature_maps.png")
