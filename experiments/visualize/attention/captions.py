"""Captions of the attention pictures: what each shows, and the measured figures."""

from collections.abc import Sequence

import numpy as np

from experiments.trained.run import Run
from experiments.visualize.attention.measure import Attention, Downsampling, MapError, Transforms
from experiments.visualize.attention.measure.downsampling import NAMES
from experiments.visualize.text import number


def attention(run: Run, transforms: Transforms, image: str, measured: Attention) -> str:
    """Of the attention maps of all layers; for self-attention those of one query."""
    network = f"{run.config.model} ({100 * run.accuracy:.1f} % test accuracy)"
    subject = f"{image}, and its transforms under {run.group.name}"
    mirrored = any(np.linalg.det(matrix) < 0 for matrix in run.group.matrices)
    arrows = (
        f"each points in the direction of its pose{' (light red: mirrored poses)' if mirrored else ''}, and its length "
        "grows from the 5 % to the 95 % quantile of the positive values in the layer"
    )
    worst = max(measured.errors, key=lambda error: error.largest)
    error = f"{number(worst.largest)} ({worst.name}), over {len(measured.errors)} layers and {len(transforms.elements)} elements"
    if run.group.dim == 3:
        return f"{_of_volumes(network, subject, measured)} {error}."
    if measured.query is None:
        return (
            f"Attention maps of {network} for {subject}. Colour: the factor 1 − α by which attention multiplies, mean over "
            f"channels and poses, one scale a layer. Arrows: the same for each pose; {arrows}; the first layer acts on an "
            "image, which has no poses. Largest difference between the map of a transformed image and the transformed map "
            f"of the image: {error}."
        )
    row, column = measured.query.position
    return (
        f"Attention maps of {network} from one query for {subject}. The query (red frame), at row {row}, column {column} of "
        "the image, moves with the image; on a smaller map it is the nearest position, and of a large map only its "
        "surroundings are shown. Colour: the attention probability of a position, mean over heads, query poses and output "
        f"poses and sum over key poses, one scale a layer. Arrows: the same for each output pose; {arrows}. Largest "
        "difference between the map of a transformed image and the transformed map of the image, over all poses and "
        f"heads: {error}."
    )


def _of_volumes(network: str, subject: str, measured: Attention) -> str:
    """All but the error. The views are the same for every volume and map."""
    views = (
        "slices along the depth (d), the columns (c) and the rows (r), and the maximum along the depth; a label names the axes "
        "of the volume that the axes of the transform read"
    )
    if measured.query is None:
        return (
            f"Attention maps of {network} for {subject}; {views}. Colour: the factor 1 − α by which attention multiplies, mean "
            "over channels and poses, one scale a layer. Largest difference between the map of a transformed volume and the "
            "transformed map of the volume:"
        )
    position = ", ".join(map(str, measured.query.position))
    return (
        f"Attention maps of {network} from one query for {subject}; {views}. The slices go through the query, at ({position}) of "
        "the volume, which moves with it; on a smaller map it is the nearest position. Colour: the attention probability of a "
        "position, mean over heads, query poses and output poses and sum over key poses, one scale a layer. Largest difference "
        "between the map of a transformed volume and the transformed map of the volume, over all poses and heads:"
    )


def features(run: Run, channel: int, error: MapError) -> str:
    """Of the maps behind the lifting layer."""
    return (
        f"Output of the lifting layer in channel {channel}, the one with the largest standard deviation, for the transforms "
        f"of the image under {run.group.name}; the frame follows one map. Largest difference from the transformed feature "
        f"maps of the image: {number(error.largest)} in units of the response (root mean square: {number(error.relative)} "
        "of the standard deviation)."
    )


def downsampling(run: Run, ways: Sequence[Downsampling]) -> str:
    """Of one layer in networks that differ in how they downsample."""
    first = ways[0].layer
    trained = NAMES[getattr(run.model, "downsampling", "pool")]
    parts = []
    for way in ways:
        shown = next(error for error in way.layer_errors if error.name == way.layer.name)
        worst = max(error.largest for error in way.layer_errors)
        parts.append(
            f"{way.name} {number(shown.largest)} (root mean square: {number(shown.relative)} of the standard deviation; "
            f"largest of {len(way.layer_errors)} layers: {number(worst)})"
        )
    return (
        f"Attention maps of {first.name} ({first.maps.shape[1]}x{first.maps.shape[2]}), the first layer after "
        "downsampling, by 2x2 pooling, which commutes with rotations, or by a stride of 2, which on an even side samples "
        f"off the centre; both networks have the weights of the {trained} one. Maps: mean over poses; error: largest "
        "absolute difference over poses from the transformed map of the image; one scale for all maps and one for all "
        f"errors. Largest error: {'; '.join(parts)}."
    )


def animation(num_frames: int, error: float | None, has_query: bool) -> str:
    """Of the rotating image."""
    query = ", from a query that rotates with it" if has_query else ""
    claim = (
        ""
        if error is None
        else f" Largest difference between maps a quarter turn apart, rotated back: {number(error)}."
    )
    return f"The image through 360° in {num_frames} steps, with the attention to each{query}.{claim}"
