"""What the pictures of a run say below themselves: what is shown, and the numbers that were measured."""

import numpy as np

from experiments import _visualize_measure as measure
from experiments._visualize_panels import Transforms
from experiments._visualize_queries import Query
from experiments._visualize_steerability import number
from experiments.runs import Run

WAYS = {"pool": "pooled", "stride": "strided"}


def attention(
    run: Run, view: Transforms, prediction: str, errors: list[measure.Difference], query: Query | None
) -> str:
    """Of the maps of all layers; of self-attention those of one query."""
    mirrored = any(np.linalg.det(matrix) < 0 for matrix in run.group.matrices)
    worst = max(errors, key=lambda error: error.largest)
    of = f"{run.config.model} ({100 * run.accuracy:.1f} % on its test split)"
    to = f"to {prediction}, and to its transforms under {run.group.name}"
    arrows = (
        f"pointing where that pose has its top{', light red for mirrored poses' if mirrored else ''}; from no arrow for "
        "the smallest value in the layer to the longest for the largest twentieth of those that are not 0. "
    )
    if query is not None:
        row, column = query.position
        return (
            f"Attention of {of} from one position, the query, {to}. The query (red frame) is row {row}, column {column} of "
            "the image, and moves with it; in each layer it is the position nearest to the same place relative to the map. "
            "Colour: probability that the query pays to a position, mean over heads and output poses, on the group also "
            "over query poses, and sum over key poses; one scale for each layer. Of a large map the surroundings of the query "
            "are shown. Arrows: the same for each output pose, "
            f"{arrows}Largest difference between the map of a transformed image for the transformed query and the "
            f"transformed map of the image, over {len(errors)} layers, all positions, poses and heads and "
            f"{len(view.elements)} elements: {number(worst.largest)} ({worst.name})."
        )
    return (
        f"Attention of {of} {to}. Colour: the share of the signal that attention lets through, mean over "
        f"channels and poses; one scale for each layer. Arrows: the same for each pose, {arrows}"
        "An image has no poses, so that the map of the first layer has no arrows. "
        f"Largest difference between a map of a transformed image and the transformed map of the image, over "
        f"{len(errors)} layers, all positions and poses and {len(view.elements)} elements: {number(worst.largest)} of the "
        f"signal ({worst.name})."
    )


def features(run: Run, channel: int, error: measure.Difference) -> str:
    """Of the maps behind the lifting layer."""
    return (
        f"Output of the lifting layer, channel {channel}, whose responses vary most: under {run.group.name} the maps turn "
        "with the image, and each is passed on to another pose. The frame follows one map. Largest difference from the "
        f"turned and shifted maps of the image: {number(error.largest)}, in units of the response; root mean "
        f"square {number(error.relative)} of its standard deviation."
    )


def regimes(run: Run, layers: dict[str, measure.Layer], errors: dict[str, list[measure.Difference]]) -> str:
    """Of a layer in networks that differ in how they halve their maps."""
    trained = WAYS[getattr(run.model, "downsampling", "pool")]
    parts = []
    for name, found in errors.items():
        shown = next(error for error in found if error.name == layers[name].name)
        worst = max(found, key=lambda error: error.largest)
        parts.append(
            f"{name}: {number(shown.largest)} of the signal, root mean square {number(shown.relative)} of the map's standard deviation "
            f"({number(worst.largest)} in the worst of {len(found)} layers)"
        )
    side = next(iter(layers.values())).maps.shape[1]
    return (
        f"Attention in {next(iter(layers.values())).name} ({side}x{side}), behind the first halving of the map: by 2x2 "
        "pooling, which commutes with turns, or by a stride of 2, which on an even side reads off the centre. The weights "
        f'are those of the {trained} network in both. Maps: mean over poses; "off by": largest difference of any pose '
        f"from the transformed map of the image; one scale for all maps and one for all differences. Largest difference, "
        f"{'; '.join(parts)}."
    )


def animation(frames: int, between: float | None, query: Query | None) -> str:
    """Of the image that turns."""
    turning = (
        "with attention to each"
        if query is None
        else "and the query with it, at the nearest position, with attention from there"
    )
    claim = (
        "" if between is None else f" Maps a quarter turn apart are those of each other, turned, to {number(between)}."
    )
    return f"The image turned in {frames} steps through 360°, {turning}.{claim}"
