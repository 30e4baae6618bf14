"""Volumes as pictures: three orthogonal slices and the maximum projection, side by side."""

import numpy as np


def mosaic(volumes: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
    """Lays out four views of each volume; images stay as they are.

        depth slice  | column slice
        row slice    | maximum along the depth

    Each view is centred in a cell of the largest side; what is left has the smallest value.

    Args:
      volumes: `[n, depth, rows, columns, *rest]`, or images `[n, rows, columns, *rest]` with at most one axis in `rest`.
      at: `[n, 3]`, the position that the slices of each volume go through; the centre by default.

    Returns:
      `[n, height, width, *rest]`.
    """
    if volumes.ndim < 5:
        return volumes
    return np.stack([_of_one(volume, None if at is None else at[index]) for index, volume in enumerate(volumes)])


def _of_one(volume: np.ndarray, at: np.ndarray | None) -> np.ndarray:
    depth, row, column = np.asarray(volume.shape[:3]) // 2 if at is None else at
    views = (volume[depth], volume[:, :, column].swapaxes(0, 1), volume[:, row], volume.max(axis=0))
    side = max(volume.shape[:3])
    page = np.full((2 * side + 1, 2 * side + 1, *volume.shape[3:]), volume.min(), volume.dtype)
    for index, view in enumerate(views):
        top, left = (
            (side + 1) * place + (side - size) // 2
            for place, size in zip(divmod(index, 2), view.shape[:2], strict=True)
        )
        page[top : top + view.shape[0], left : left + view.shape[1]] = view
    return page
