"""Exports the network of a finished run: `python -m experiments.export RUN --to safetensors|stablehlo|onnx [--output FILE]`.

Weights as safetensors carry the preprocessing, the classes and the measured accuracy; StableHLO and ONNX read images in
[0, 1], and their preprocessing is part of the program. To ship trained weights with the package, write them to
`gequi_jax/models/weights/NAME.safetensors`.
"""

import json
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.errors import Parser, UserError, exit_on_user_error
from experiments.results import summary
from experiments.results.commands import command
from experiments.runs import Run, load_run
from gequi_jax import export, models

FORMATS = {"safetensors": ".safetensors", "stablehlo": ".stablehlo", "onnx": ".onnx"}


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """Writes the file."""
    parser = Parser(description="Exports the network of a finished run.")
    parser.add_argument("run", help="the work directory of the run")
    parser.add_argument("--to", required=True, choices=FORMATS, help="the format")
    parser.add_argument("--output", help="the file; by default named after the network, in the work directory")
    options = parser.parse_args(arguments)
    run = load_run(options.run)
    output = pathlib.Path(options.output or run.workdir / f"{run.config.model}{FORMATS[options.to]}")
    _write(run, options.to, output)
    print(f"{output}: {run.config.model}, test accuracy {100 * run.accuracy:.2f} %, {output.stat().st_size:,} bytes")


def _write(run: Run, target: str, output: pathlib.Path) -> None:
    try:
        if target == "safetensors":
            models.save_weights(
                run.model, output, preprocessing=preprocessing(run), classes=run.labels.names, metrics=metrics(run)
            )
        elif target == "stablehlo":
            export.to_stablehlo(run.model, output, preprocessing=run.normalize)
        else:
            export.to_onnx(run.model, output, preprocessing=run.normalize)
    except (ImportError, ValueError, OSError) as error:
        raise UserError(str(error)) from error


def preprocessing(run: Run) -> dict[str, Any]:
    """How images in [0, 1] become inputs, (image - mean) / std for each channel: every normalisation is of this form."""
    channels = run.image_shape[-1]
    zero, one = (
        np.asarray(run.normalize(jnp.full((1, 1, 1, channels), value, jnp.float32)))[0, 0, 0] for value in (0.0, 1.0)
    )
    std = 1 / (one - zero)
    return {"range": [0, 1], "mean": _rounded(-zero * std), "std": _rounded(std)}


def metrics(run: Run) -> dict[str, Any]:
    """What the run measured, accuracies in percent, and how to repeat it."""
    finished = json.loads((run.workdir / summary.FILE).read_text())
    return {
        "test_accuracy": round(100 * run.accuracy, 2),
        "test_images": finished["num_test"],
        "dataset": finished["dataset"],
        "seed": run.config.seed,
        "epochs": finished["epochs"],
        "command": command(finished),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    main()
