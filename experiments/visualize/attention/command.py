"""Pictures of a trained network's attention: it turns with the image, exactly where no stride breaks the symmetry.

Reference: Romero et al. (2020), Figs. 7 to 11; Romero & Cordonnier (2021), Fig. 1.
"""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from flax import nnx

from experiments import _visualize_captions as captions
from experiments import _visualize_measure as measure
from experiments import _visualize_panels as panels
from experiments import _visualize_queries as queries
from experiments import data
from experiments._visualize_images import file_image, image_of_test_split
from experiments.errors import UserError
from experiments.results.equivariance import transformed
from experiments.runs import Run, load_run, with_downsampling
from gequi_jax import actions

NAME = "attention"
SUMMARY = "attention of a trained network to an image and to its transforms"
WORKDIR = "runs/default"
FRAMES = 36
COLUMNS = 4  # layers side by side


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    parser.add_argument("--workdir", default=WORKDIR, help=f"of a finished run ({WORKDIR})")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--index", type=int, default=0, help="which image of the test split (0)")
    which.add_argument("--image", metavar="FILE", help="an image of yours: its centred square, at the network's size")
    parser.add_argument(
        "--query",
        metavar="ROW,COLUMN",
        help="where self-attention looks from (the brightest pixel, nearest the centre)",
    )


def make(options: argparse.Namespace) -> tuple[list[pathlib.Path], str]:
    """Measures, draws and writes the pictures, an animation and `attention.json`.

    Args:
      options: those of `add_options`, and `out`, a directory that exists.

    Returns:
      The files and the captions.

    Raises:
      UserError: no finished run, no such image or query, or a network without attention maps or symmetry.
    """
    run = load_run(pathlib.Path(options.workdir))
    if options.image is None:
        image, title = image_of_test_split(run, options.index)
    else:
        image, title = file_image(run, pathlib.Path(options.image))
    view = _transforms(run, image)
    angles = np.linspace(0, 2 * np.pi, FRAMES, endpoint=False).astype(np.float32)
    frames = data.rotate_images(np.repeat(image[None], FRAMES, axis=0), angles)
    seen = _look(run, view, frames, options.query)
    prediction = f"{title}, classified as {seen.logits[0].argmax()}"
    numbers: dict[str, Any] = {"run": str(run.workdir), "image": prediction, "elements": list(view.elements)}
    texts: dict[str, str] = {}
    written: list[pathlib.Path] = []

    def paths(name: str) -> list[pathlib.Path]:
        found = [options.out / f"{name}.{suffix}" for suffix in ("png", "svg")]
        written.extend(found)
        return found

    numbers["layers"] = [dataclasses.asdict(error) for error in seen.errors]
    if seen.query is not None:
        numbers["query"] = list(seen.query.position)
    texts[NAME] = captions.attention(run, view, prediction, seen.errors, seen.query)
    side = image.shape[0]
    marked = view if seen.query is None else dataclasses.replace(view, queries=seen.query.on(side))
    panels.draw_attention(marked, seen.shown, texts[NAME], *paths(NAME))

    if seen.lifted is not None:
        channel = int(seen.lifted[:1].std(axis=(0, 1, 2, 3)).argmax())
        maps = seen.lifted[: len(view.elements), ..., channel]
        error = measure.differences([measure.Layer("lifting", maps)], view.elements, run.group)[0]
        numbers["features"] = dataclasses.asdict(error) | {"channel": channel}
        texts["features"] = captions.features(run, channel, error)
        panels.draw_features(view, maps, texts["features"], *paths("features"))

    found = _regimes(run, view) if seen.query is None else None
    if found is not None:
        regimes, by_regime = found
        numbers["regimes"] = {
            name: [dataclasses.asdict(error) for error in errors] for name, errors in by_regime.items()
        }
        texts["regimes"] = captions.regimes(run, regimes, by_regime)
        panels.draw_regimes(view, regimes, texts["regimes"], *paths("regimes"))

    between = measure.frame_difference(seen.turning, run.group)
    numbers["frames"] = between
    written.append(options.out / f"{NAME}.gif")
    names = [layer.name for layer in seen.shown]
    turning = [layer for layer in seen.turning if layer.name in names]
    marks = None if seen.turning_query is None else seen.turning_query.on(side)
    panels.animate(np.clip(frames, 0, 1), turning, run.group, written[-1], queries=marks)
    texts["animation"] = captions.animation(FRAMES, between, seen.query)
    written.append(options.out / f"{NAME}.json")
    written[-1].write_text(json.dumps(numbers | {"captions": texts}, indent=2) + "\n")
    return written, "\n\n".join(f"{name}: {text.strip()}" for name, text in texts.items())


@dataclasses.dataclass(frozen=True)
class Seen:
    """A network, looked at.

    Attributes:
      logits, lifted: of the transforms of the image, and what follows.
      shown: the layers that have room, with their maps of the transforms (and, it may be, more behind them).
      turning: with their maps of the frames, the layers shown or all.
      errors: of all layers, under the transforms.
      query, turning_query: of self-attention, on the transforms and on the frames.
    """

    logits: np.ndarray
    lifted: np.ndarray | None
    shown: list[measure.Layer]
    turning: list[measure.Layer]
    errors: list[measure.Difference]
    query: queries.Query | None = None
    turning_query: queries.Query | None = None


def _look(run: Run, view: panels.Transforms, frames: np.ndarray, query: str | None) -> Seen:
    count, both = len(view.elements), np.concatenate([view.images, frames])
    kinds = {type(module) for _, module in nnx.iter_modules(run.model)}
    if kinds.isdisjoint(queries.ATTENDING) or not kinds.isdisjoint(measure.ATTENTIVE):
        if query is not None:
            raise UserError(f"--query {query!r}: {run.config.model} does not attend from a query; leave it out")
        logits, lifted, layers = measure.look(run.model, both, run.normalize)
        if not layers:
            raise UserError(
                f"--workdir {run.workdir}: {run.config.model} has no attention maps over positions; choose a run of a "
                "network with attention, such as digits_alpha_f_p4_cnn or digits_r4_sa"
            )
        shown = _shown(layers)
        turning = [dataclasses.replace(layer, maps=layer.maps[count:]) for layer in layers]
        return Seen(logits, lifted, shown, turning, measure.differences(layers, view.elements, run.group))
    position = queries.brightest(view.images[0]) if query is None else queries.parse(query, view.images[0])
    logits, lifted, read = queries.layer_inputs(run.model, both, run.normalize)
    side = view.images.shape[1]
    moving = queries.moving_with(position, side, view.group.matrices[list(view.elements)])
    layers, errors = queries.look(
        [(name, layer, inputs[:count]) for name, layer, inputs in read], moving, view.elements, run.group
    )
    shown = _shown(layers)
    names = [layer.name for layer in shown]
    still = [(name, layer, inputs[count:]) for name, layer, inputs in read if name in names]
    following = queries.turning_with(position, side, len(frames))
    turning, _ = queries.look(still, following, (), run.group)
    return Seen(logits, lifted, shown, turning, errors, moving, following)


def _shown(layers: list[measure.Layer]) -> list[measure.Layer]:
    return [layer for layer in layers if min(layer.maps.shape[1:3]) >= 4][:COLUMNS] or layers[:COLUMNS]


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
    images = [transformed(run.group, element)(image[None])[0] for element in elements]
    return panels.Transforms(run.group, elements, np.asarray(images))


def _regimes(run: Run, view: panels.Transforms):
    """The first layer behind a halved map of the trained network, and of the one that halves its maps in the other way."""
    seen, errors = {}, {}
    for way, name in captions.WAYS.items():
        network = with_downsampling(run, way)
        if network is None:
            return None
        _, _, layers = measure.look(network, view.images, run.normalize)
        behind = [layer for layer in layers if layer.maps.shape[1] < layers[0].maps.shape[1]]
        if not behind:
            return None
        seen[name] = behind[0]
        errors[name] = measure.differences(layers, view.elements, run.group)
    return seen, errors
