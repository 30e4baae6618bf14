"""The command `python -m experiments.visualize pose_index`: its options, caption and files."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.visualize.images import upright_digits
from experiments.visualize.picture import Output, Picture, add_index, add_seed
from experiments.visualize.pose_index import measure
from experiments.visualize.pose_index.draw import draw
from experiments.visualize.pose_index.measure import PoseIndexResult
from experiments.visualize.text import number

NAME = "pose_index"
NUM_IMAGES = 8
Results = Mapping[str, Sequence[PoseIndexResult]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this picture."""
    add_index(parser, "the upright digit that is shown")
    add_seed(parser, "of the weights")


def make(options: argparse.Namespace, output: Output) -> str:
    """Measures, draws and writes the picture."""
    images = upright_digits(options.index, NUM_IMAGES)
    results = {group: measure.measure(group, images, seed=options.seed) for group in measure.GROUPS}
    text = caption(results, options.seed)
    draw(images[0], results, text, *output.figure(NAME))
    figures = {group: [_figures(result) for result in of_group] for group, of_group in results.items()}
    output.write_json(NAME, {"caption": text, "groups": figures})
    return text


def caption(results: Results, seed: int) -> str:
    """What the picture shows and the measured figures."""
    channels = ", ".join(f"{of_group[0].channel} for {group}" for group, of_group in results.items())
    largest = "; ".join(
        f"{name} "
        + ", ".join(f"{number(of_group[index].largest_error)} for {group}" for group, of_group in results.items())
        for index, name in enumerate(measure.POSE_INDICES)
    )
    return (
        "(a) The output of one group self-attention layer for a digit and its transforms, with three pose indices: h⁻¹b, "
        "the default, is the pose b of the key relative to the output pose h; h⁻¹(a⁻¹b), with the query pose a, is printed "
        "in the paper; the published code has a third table. Each map is the mean over poses of the channel with the "
        f"largest standard deviation ({channels}). Each error is the largest difference, over poses, from the transformed "
        "map of the digit. The maps of a group share one scale, and so do its errors. "
        "(b) Relative equivariance error of the layer under every element but the identity, over all channels and "
        f"{NUM_IMAGES} digits. The layer follows a lifting convolution; all weights are untrained (seed {seed}) and the "
        f"same for the three indices. Largest error: {largest}."
    )


def _figures(result: PoseIndexResult) -> dict[str, Any]:
    return {
        "pose_index": result.pose_index,
        "elements": list(result.elements),
        "channel": result.channel,
        "errors": list(result.errors),
        "largest_error": result.largest_error,
        "largest_difference": np.abs(result.differences).max(axis=(1, 2, 3)).tolist(),
    }


PICTURE = Picture(
    NAME, "the pose index of group self-attention: the default against the published ones", add_options, make
)
