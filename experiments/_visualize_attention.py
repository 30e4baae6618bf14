"""Pictures of a trained network's attention: it turns with the image, exactly where no stride breaks the symmetry.

Reference: Romero et al. (2020), Figs. 7 to 11; Romero & Cordonnier (2021), Fig. 1.
"""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from experiments import _visualize_measure as measure
from experiments import _visualize_panels as panels
from experiments import data, evaluate
from experiments._visualize_images import file_image, image_of_test_split
from experiments._visualize_steerability import number
from experiments.errors import UserError
from experiments.runs import Run, load_run, with_downsampling
from gequi_jax import actions

NAME = "attention"
SUMMARY = "attention of a trained network to an image and to its transforms"
WORKDIR = "runs/default"
FRAMES = 36
COLUMNS = 4  # layers side by side
NAMES = {"pool": "pooled", "stride": "strided"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    parser.add_argument("--workdir", default=WORKDIR, help=f"of a finished run ({WORKDIR})")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--index", type=int, default=0, help="which image of the test split (0)")
    which.add_argument("--image", metavar="FILE", help="an image of yours: its centred square, at the network's size")


def make(options: argparse.Namespace) -> tuple[list[pathlib.Path], str]:
    """Measures, draws and writes the pictures, an animation and `attention.json`.

    Args:
      options: those of `add_options`, and `out`, a directory that exists.

    Returns:
      The files and the captions.

    Raises:
      UserError: no finished run, no such image, or a network without attention maps or symmetry.
    """
    run = load_run(pathlib.Path(options.workdir))
    if options.image is None:
        image, title = image_of_test_split(run, options.index)
    else:
        image, title = file_image(run, pathlib.Path(options.image))
    view = _transforms(run, image)
    angles = np.linspace(0, 2 * np.pi, FRAMES, endpoint=False).astype(np.float32)
    frames = data.rotate_images(np.repeat(image[None], FRAMES, axis=0), angles)
    both = np.concatenate([view.images, frames])
    logits, lifted, layers = measure.look(run.model, both, run.normalize)
    if not layers:
        raise UserError(
            f"--workdir {run.workdir}: {run.config.model} has no attention maps over positions; choose a run of a network "
            "with attentive convolutions, such as digits_alpha_f_p4_cnn"
        )
    shown = [layer for layer in layers if min(layer.passed.shape[1:3]) >= 4][:COLUMNS] or layers[:COLUMNS]
    count = len(view.elements)
    prediction = f"{title}, classified as {logits[0].argmax()}"
    numbers: dict[str, Any] = {"run": str(run.workdir), "image": prediction, "elements": list(view.elements)}
    captions: dict[str, str] = {}
    written: list[pathlib.Path] = []

    def paths(name: str) -> list[pathlib.Path]:
        found = [options.out / f"{name}.{suffix}" for suffix in ("png", "svg")]
        written.extend(found)
        return found

    errors = measure.differences(layers, view.elements, run.group)
    numbers["layers"] = [dataclasses.asdict(error) for error in errors]
    captions[NAME] = _attention_caption(run, view, prediction, errors)
    panels.draw_attention(view, shown, captions[NAME], *paths(NAME))

    if lifted is not None:
        channel = int(lifted[:1].std(axis=(0, 1, 2, 3)).argmax())
        maps = lifted[:count, ..., channel]
        error = measure.differences([measure.Layer("lifting", maps)], view.elements, run.group)[0]
        numbers["features"] = dataclasses.asdict(error) | {"channel": channel}
        captions["features"] = _features_caption(run, channel, error)
        panels.draw_features(view, maps, captions["features"], *paths("features"))

    found = _regimes(run, view)
    if found is not None:
        regimes, by_regime = found
        numbers["regimes"] = {
            name: [dataclasses.asdict(error) for error in errors] for name, errors in by_regime.items()
        }
        captions["regimes"] = _regimes_caption(run, regimes, by_regime)
        panels.draw_regimes(view, regimes, captions["regimes"], *paths("regimes"))

    between = measure.frame_difference(layers, count, FRAMES, run.group)
    numbers["frames"] = between
    turning = [dataclasses.replace(layer, passed=layer.passed[count:]) for layer in shown]
    written.append(options.out / f"{NAME}.gif")
    panels.animate(np.clip(frames, 0, 1), turning, run.group, written[-1])
    captions["animation"] = f"The image turned in {FRAMES} steps through 360°, with attention to each. " + (
        "" if between is None else f"Maps a quarter turn apart are those of each other, turned, to {number(between)}."
    )
    written.append(options.out / f"{NAME}.json")
    written[-1].write_text(json.dumps(numbers | {"captions": captions}, indent=2) + "\n")
    return written, "\n\n".join(f"{name}: {text.strip()}" for name, text in captions.items())


def _transforms(run: Run, image: np.ndarray) -> panels.Transforms:
    rows, columns, _ = run.image_shape
    if rows != columns:
        raise UserError(f"--workdir {run.workdir}: its images are {rows}x{columns}; only square ones can be turned")
    elements = actions.grid_preserving_elements(run.group)
    elements.sort(key=lambda element: not np.allclose(run.group.matrices[element], np.eye(2)))
    if len(elements) == 1:
        raise UserError(
            f"--workdir {run.workdir}: {run.config.model} has no symmetry to show; choose a run with a group"
        )
    images = [evaluate.transformed(run.group, element)(image[None])[0] for element in elements]
    return panels.Transforms(run.group, elements, np.asarray(images))


def _regimes(run: Run, view: panels.Transforms):
    """The first layer behind a halved map of the trained network, and of the one that halves its maps in the other way."""
    seen, errors = {}, {}
    for way, name in NAMES.items():
        network = with_downsampling(run, way)
        if network is None:
            return None
        _, _, layers = measure.look(network, view.images, run.normalize)
        behind = [layer for layer in layers if layer.passed.shape[1] < layers[0].passed.shape[1]]
        if not behind:
            return None
        seen[name] = behind[0]
        errors[name] = measure.differences(layers, view.elements, run.group)
    return seen, errors


def _attention_caption(run: Run, view: panels.Transforms, prediction: str, errors: list[measure.Difference]) -> str:
    mirrored = any(np.linalg.det(matrix) < 0 for matrix in run.group.matrices)
    worst = max(errors, key=lambda error: error.largest)
    return (
        f"Attention of {run.config.model} ({100 * run.accuracy:.1f} % on its test split) to {prediction}, and to its "
        f"transforms under {run.group.name}. Colour: the share of the signal that attention lets through, mean over "
        "channels and poses; one scale for each layer. Arrows: the same for each pose, pointing where that pose has its "
        f"top{', light red for mirrored poses' if mirrored else ''}; from "
        "no arrow for the smallest share in the layer to the longest for its largest twentieth. "
        "An image has no poses, so that the map of the first layer has no arrows. "
        f"Largest difference between a map of a transformed image and the transformed map of the image, over "
        f"{len(errors)} layers, all positions and poses and {len(view.elements)} elements: {number(worst.largest)} of the "
        f"signal ({worst.name})."
    )


def _features_caption(run: Run, channel: int, error: measure.Difference) -> str:
    return (
        f"Output of the lifting layer, channel {channel}, whose responses vary most: under {run.group.name} the maps turn "
        "with the image, and each is passed on to another pose. The frame follows one map. Largest difference from the "
        f"turned and shifted maps of the image: {number(error.largest)}, in units of the response; root mean "
        f"square {number(error.relative)} of its standard deviation."
    )


def _regimes_caption(run: Run, regimes: dict[str, measure.Layer], errors: dict[str, list[measure.Difference]]) -> str:
    trained = NAMES[getattr(run.model, "downsampling", "pool")]
    parts = []
    for name, found in errors.items():
        shown = next(error for error in found if error.name == regimes[name].name)
        worst = max(found, key=lambda error: error.largest)
        parts.append(
            f"{name}: {number(shown.largest)} of the signal, root mean square {number(shown.relative)} of the map's standard deviation "
            f"({number(worst.largest)} in the worst of {len(found)} layers)"
        )
    side = next(iter(regimes.values())).passed.shape[1]
    return (
        f"Attention in {next(iter(regimes.values())).name} ({side}x{side}), behind the first halving of the map: by 2x2 "
        "pooling, which commutes with turns, or by a stride of 2, which on an even side reads off the centre. The weights "
        f'are those of the {trained} network in both. Maps: mean over poses; "off by": largest difference of any pose '
        f"from the transformed map of the image; one scale for all maps and one for all differences. Largest difference, "
        f"{'; '.join(parts)}."
    )
