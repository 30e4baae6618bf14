"""The command `python -m experiments.visualize attention`: its options and files."""

import argparse
import dataclasses
import pathlib
from typing import Any

import numpy as np

from experiments.runs import Run, load_run
from experiments.visualize.attention import captions, measure
from experiments.visualize.attention.draw import animate, draw_attention, draw_downsampling, draw_features
from experiments.visualize.attention.measure import Attention, Transforms
from experiments.visualize.images import file_image, image_of_test_split
from experiments.visualize.picture import Output, Picture, add_index, add_query, add_workdir

NAME = "attention"
WORKDIR = "runs/default"
NUM_FRAMES = 36


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    add_workdir(parser, f"the work directory of a finished run ({WORKDIR})", WORKDIR)
    which = parser.add_mutually_exclusive_group()
    add_index(which, "the image of the test split")
    which.add_argument("--image", metavar="FILE", help="an image file, read as the run reads its own")
    add_query(parser)


def make(options: argparse.Namespace, output: Output) -> str:
    """Measures, draws and writes all pictures of a run, and an animation."""
    run = load_run(pathlib.Path(options.workdir))
    if options.image is None:
        image, title = image_of_test_split(run, options.index)
    else:
        image, title = file_image(run, pathlib.Path(options.image))
    transforms, frames = measure.transform_image(run, image), measure.rotated_frames(image, NUM_FRAMES)
    measured = measure.measure_attention(run, transforms, frames, options.query)
    picture = _Pictures(run, transforms, measured, output)
    picture.attention(f"{title}, classified as {measured.logits[0].argmax()}")
    if measured.lifted is not None:
        picture.features(measured.lifted)
    if measured.query is None and run.group.dim == 2:
        picture.downsampling()
    if len(frames):
        picture.animation(np.clip(frames, 0, 1))
    output.write_json(NAME, {"run": str(run.workdir), **picture.figures, "captions": picture.captions})
    return "\n\n".join(f"{name}: {text}" for name, text in picture.captions.items())


class _Pictures:
    """The pictures of one run, with the captions and the figures so far."""

    def __init__(self, run: Run, transforms: Transforms, measured: Attention, output: Output):
        self.run, self.transforms, self.measured, self.output = run, transforms, measured, output
        self.captions: dict[str, str] = {}
        self.figures: dict[str, Any] = {}

    def attention(self, image: str) -> None:
        measured, side = self.measured, self.transforms.images.shape[1]
        text = self.captions[NAME] = captions.attention(self.run, self.transforms, image, measured)
        queries = None if measured.query is None else measured.query.on(side)
        draw_attention(self.transforms, measured.layers, queries, text, *self.output.figure(NAME))
        self.figures |= {"image": image, "elements": list(self.transforms.elements), "layers": _plain(measured.errors)}
        if measured.query is not None:
            self.figures["query"] = list(measured.query.position)

    def features(self, lifted: np.ndarray) -> None:
        channel = int(lifted[:1].std(axis=tuple(range(lifted.ndim - 1))).argmax())
        maps = lifted[: len(self.transforms.elements), ..., channel]
        error = measure.map_error("lifting", maps, self.transforms.elements, self.run.group)
        text = self.captions["features"] = captions.features(self.run, channel, error)
        draw_features(self.transforms, maps, text, *self.output.figure("features"))
        self.figures["features"] = dataclasses.asdict(error) | {"channel": channel}

    def downsampling(self) -> None:
        ways = measure.compare_downsampling(self.run, self.transforms)
        if ways is None:
            return
        text = self.captions["downsampling"] = captions.downsampling(self.run, ways)
        draw_downsampling(self.transforms, ways, text, *self.output.figure("downsampling"))
        self.figures["downsampling"] = {way.name: _plain(way.layer_errors) for way in ways}

    def animation(self, images: np.ndarray) -> None:
        measured = self.measured
        error = measure.frame_error(measured.frames, self.run.group)
        self.captions["animation"] = captions.animation(len(images), error, measured.query is not None)
        queries = None if measured.frame_query is None else measured.frame_query.on(images.shape[1])
        animate(images, measured.frames, self.run.group, self.output.file(f"{NAME}.gif"), queries=queries)
        self.figures["frames"] = error


def _plain(errors: list[measure.MapError]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(error) for error in errors]


PICTURE = Picture(NAME, "the attention of a trained network to an image and to its transforms", add_options, make)
