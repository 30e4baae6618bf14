"""Attention maps of image files, a figure for each."""

import pathlib
from collections.abc import Sequence

from experiments.runs import Run
from experiments.visualize.attention import captions, measure
from experiments.visualize.attention.draw import draw_attention
from experiments.visualize.images import file_image
from experiments.visualize.picture import Output

# The figure shows no animation; a quarter turn is enough to compare.
_NUM_FRAMES = 4


def draw_files(run: Run, files: Sequence[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
    """Draws each image, its transforms under the group, and the attention of every layer to them.

    Args:
      run: a run whose network has attention.
      files: images.
      folder: where NAME.png and NAME.svg go; created if it does not exist.

    Returns:
      The files written.

    Raises:
      UserError: a network without attention or without a group, or an image that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output = Output(folder)
    for path in files:
        image, title = file_image(run, path)
        transforms = measure.transform_image(run, image)
        measured = measure.measure_attention(run, transforms, measure.rotated_frames(image, _NUM_FRAMES), None)
        name = run.labels.names[int(measured.logits[0].argmax())]
        text = captions.attention(run, transforms, f"{title}, classified as {name}", measured)
        queries = None if measured.query is None else measured.query.on(image.shape[0])
        draw_attention(transforms, measured.layers, queries, text, *output.figure(path.stem))
    return output.paths
