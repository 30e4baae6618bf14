"""Pictures of a run: the learning curve, test digits with predictions, feature maps of an image and of its turn."""

import pathlib
from typing import Any

import numpy as np
from matplotlib.figure import Figure


def learning_curve(records: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Loss and accuracy of every epoch, on the training and the validation split.

    Args:
      records: lines of metrics.jsonl.
      path: of the picture.
    """
    epochs = [record for record in records if record["kind"] == "epoch"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, style in (("train", "--"), ("validation", "-")):
            values = [record[f"{split}_{name}"] for record in epochs]
            axes.plot([record["epoch"] for record in epochs], values, style, label=split)
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def predictions(images: np.ndarray, logits: np.ndarray, labels: np.ndarray, path: pathlib.Path) -> None:
    """A page of test images, each with its prediction; mistakes are red and come with the true class.

    Args:
      images: `[n, rows, columns, channels]`; the first 60 are shown.
      logits: `[n, classes]`.
      labels: `[n]`.
      path: of the picture.
    """
    count, columns = min(60, len(images)), 12
    rows = -(-count // columns)
    height, width, channels = images.shape[1:]
    # One picture with a title strip above each image: a page of sixty axes takes seconds to lay out.
    strip = max(2, height // 3)
    page = np.ones((rows * (height + strip), columns * (width + 1), channels), np.float32)
    figure = Figure(figsize=(columns * 0.9, rows * 0.9 * (height + strip) / width), layout="constrained")
    axes = figure.subplots()
    predicted = logits.argmax(axis=-1)
    for index in range(count):
        top, left = index // columns * (height + strip), index % columns * (width + 1)
        page[top + strip : top + strip + height, left : left + width] = images[index]
        right = predicted[index] == labels[index]
        title = str(predicted[index]) if right else f"{predicted[index]} (is {labels[index]})"
        place = (left + width / 2 - 0.5, top + strip / 2 - 0.5)
        axes.text(*place, title, ha="center", va="center", fontsize=8, color="black" if right else "red")
    _show(axes, page)
    axes.axis("off")
    _save(figure, path)


def feature_maps(
    image: np.ndarray, turned: np.ndarray, maps: np.ndarray, maps_turned: np.ndarray, path: pathlib.Path
) -> None:
    """Feature maps on a group, of an image and of its quarter turn: each turned, and shifted to the next pose.

    Args:
      image: `[rows, columns, channels]`.
      turned: the same, turned by 90 degrees.
      maps: `[rows, columns, group, channels]`; the channel that varies most is shown, a panel for each pose.
      maps_turned: those of the turned image.
      path: of the picture.
    """
    channel = int(maps.std(axis=(0, 1, 2)).argmax())
    order = maps.shape[2]
    shown = np.concatenate([maps[..., channel].ravel(), maps_turned[..., channel].ravel()])
    figure = Figure(figsize=(1.5 * (order + 1), 3.6), layout="constrained")
    grid = figure.subplots(2, order + 1, squeeze=False)
    rows = (("image", image, maps), ("quarter turn", turned, maps_turned))
    for row, (title, picture, values) in enumerate(rows):
        _show(grid[row, 0], picture)
        grid[row, 0].set_title(title, fontsize=9)
        grid[row, 0].axis("off")
        for pose in range(order):
            axes = grid[row, pose + 1]
            axes.imshow(values[:, :, pose, channel], cmap="viridis", vmin=shown.min(), vmax=shown.max())
            axes.set_title(f"pose {pose}", fontsize=9)
            axes.axis("off")
    _save(figure, path)


def confusion(matrix: np.ndarray, path: pathlib.Path) -> None:
    """The confusion matrix: a row for each true class, a column for each prediction."""
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.log1p(matrix), cmap="Blues")
    axes.set(xlabel="predicted", ylabel="true", xticks=range(len(matrix)), yticks=range(len(matrix)))
    for row, column in np.argwhere(matrix):
        dark = np.log1p(matrix[row, column]) > 0.6 * np.log1p(matrix.max())
        axes.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )
    _save(figure, path)


def _show(axes: Any, image: np.ndarray) -> None:
    if image.shape[-1] == 3:
        axes.imshow(image)
    else:
        axes.imshow(image[..., 0], cmap="gray")


def _save(figure: Figure, path: pathlib.Path) -> None:
    # A Figure made without pyplot draws itself with Agg: no display is needed, and no state is left behind.
    figure.savefig(path, dpi=120)
