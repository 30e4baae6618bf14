"""Pictures from arrays: learning curve, predictions on test images, feature maps, confusion matrix, errors of many runs."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context, ticker
from matplotlib.figure import Figure

MOST_POSES = 16  # side by side


def learning_curve(records: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Loss and accuracy of every epoch, on the training and the validation split.

    Args:
      records: lines of metrics.jsonl.
      path: the file.
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
    """Test images with their predictions; a wrong prediction is red and followed by the true class.

    Args:
      images: `[n, rows, columns, channels]`; the first 60 are shown.
      logits: `[n, classes]`.
      labels: `[n]`.
      path: the file.
    """
    count, columns = min(60, len(images)), 12
    rows = -(-count // columns)
    height, width, channels = images.shape[1:]
    # One image with a strip for the title above each digit: the layout of sixty axes takes seconds.
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


def segmentations(examples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], path: pathlib.Path) -> None:
    """Images, their masks, the predicted masks and, in red, the pixels that differ: one row for each image.

    Args:
      examples: images `[rows, columns, channels]`, masks and predicted masks `[rows, columns]`.
      path: the file.
    """
    most = max(mask.max() for _, *masks in examples for mask in masks)
    figure = Figure(figsize=(9, 2.4 * len(examples)), layout="constrained")
    grid = figure.subplots(len(examples), 4, squeeze=False)
    for axes, (image, truth, predicted) in zip(grid, examples, strict=True):
        wrong = truth != predicted
        _show(axes[0], image)
        for panel, mask in zip(axes[1:3], (truth, predicted), strict=True):
            panel.imshow(
                mask, cmap="gray" if most < 2 else "viridis", vmin=0, vmax=max(most, 1), interpolation="nearest"
            )
        axes[3].imshow(wrong, cmap="Reds", vmin=0, vmax=1, interpolation="nearest")
        titles = ("image", "truth", "prediction", f"error: {100 * wrong.mean():.1f} % of the pixels")
        for panel, title in zip(axes, titles, strict=True):
            panel.set_title(title, fontsize=9)
            panel.axis("off")
    _save(figure, path)


def feature_maps(
    image: np.ndarray, moved: np.ndarray, maps: np.ndarray, maps_moved: np.ndarray, path: pathlib.Path
) -> None:
    """Feature maps on the group, of an image and of the transformed image.

    Those of the transformed image are transformed and permuted over the poses.

    Args:
      image: `[rows, columns, channels]`.
      moved: the transformed image.
      maps: `[rows, columns, poses]`, one panel for each pose.
      maps_moved: those of the transformed image.
      path: the file.
    """
    order = maps.shape[2]
    shown = np.concatenate([maps.ravel(), maps_moved.ravel()])
    figure = Figure(figsize=(1.5 * (order + 1), 3.6), layout="constrained")
    grid = figure.subplots(2, order + 1, squeeze=False)
    rows = (("image", image, maps), ("transformed", moved, maps_moved))
    for row, (title, picture, values) in enumerate(rows):
        _show(grid[row, 0], picture)
        grid[row, 0].set_title(title, fontsize=9)
        grid[row, 0].axis("off")
        for pose in range(order):
            axes = grid[row, pose + 1]
            axes.imshow(values[:, :, pose], cmap="viridis", vmin=shown.min(), vmax=shown.max())
            axes.set_title(f"pose {pose}", fontsize=9)
            axes.axis("off")
    _save(figure, path)


def confusion(matrix: np.ndarray, path: pathlib.Path) -> None:
    """The confusion matrix: rows are true classes, columns predictions; colours are logarithmic."""
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


def errors(points: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Test errors against parameters and against operations of training, published (hollow) and ours (filled).

    Args:
      points: each with `label`, `error` in percent, `parameters`, `operations` or None, and `is_ours`.
      path: the file.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    labels = list(dict.fromkeys(point["label"] for point in points))
    colours = {label: f"C{index % 10}" for index, label in enumerate(labels)}
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("parameters", "operations"), strict=True):
        for point in points:
            if point[name] is None:
                continue
            colour, is_ours = colours[point["label"]], point["is_ours"]
            axes.plot(
                point[name],
                point["error"],
                "o",
                color=colour,
                markerfacecolor=colour if is_ours else "none",
                markersize=7,
            )
            axes.annotate(
                point["label"],
                (point[name], point["error"]),
                xytext=(6, 3 if is_ours else -9),
                textcoords="offset points",
                fontsize=7,
                color=colour,
            )
        axes.set(xlabel=name if name == "parameters" else "operations of training", xscale="log", yscale="log")
        axes.grid(alpha=0.3, which="both")
        axes.margins(x=0.2)
    axes = figure.axes[0]
    axes.set_ylabel("test error, percent")
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(ticker.FormatStrFormatter("%g"))
    _save(figure, path)


def _show(axes: Any, image: np.ndarray) -> None:
    if image.shape[-1] == 3:
        axes.imshow(image)
    else:
        axes.imshow(image[..., 0], cmap="gray")


def _save(figure: Figure, path: pathlib.Path) -> None:
    # A Figure created without pyplot uses Agg: no display is needed and no global state remains.
    # Text of an SVG stays text; its identifiers and its header do not change from one drawing to the next.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
        figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
