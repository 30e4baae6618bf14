"""The query of self-attention: a position that moves as the images do."""

import dataclasses

import numpy as np

from experiments.errors import UserError

QUARTER_TURN = np.array([[0, -1], [1, 0]])  # of offsets (row, column), counter-clockwise


@dataclasses.dataclass(frozen=True)
class Query:
    """A position that moves as the images do.

    A layer after pooling or a crop has a smaller map. Its query is the position nearest to the same relative place on
    that map, and moves exactly as the image does: for L_g f it is g i, on every map.

    Attributes:
      position: in the first image.
      side: of the images.
      rotations: `[images, 2, 2]`, applied before the nearest position is taken.
      exact: `[images, 2, 2]`, elements that map the grid to itself, applied after it.
    """

    position: tuple[int, int]
    side: int
    rotations: np.ndarray
    exact: np.ndarray

    def on(self, side: int) -> np.ndarray:
        """The query of every image on a map of that side, `[images, 2]`."""
        offset = (np.asarray(self.position) - (self.side - 1) / 2) * side / self.side
        grid = np.arange(side) - (side - 1) / 2  # symmetric about 0, as the group requires
        nearest = grid[np.abs((self.rotations @ offset)[..., None] - grid).argmin(axis=-1)]
        moved = np.einsum("nde,ne->nd", self.exact, nearest)
        return np.rint(moved + (side - 1) / 2).astype(int)


def transformed_query(position: tuple[int, int], side: int, matrices: np.ndarray) -> Query:
    """A query that follows an image through transforms.

    Args:
      position: in the image.
      side: of the image.
      matrices: `[transforms, 2, 2]`, of elements that map the grid to itself, the identity first.
    """
    return Query(position, side, np.broadcast_to(np.eye(2), matrices.shape), matrices)


def rotating_query(position: tuple[int, int], side: int, num_frames: int) -> Query:
    """A query that follows an image through a full rotation in equal steps, a multiple of 4 of them.

    The nearest position is taken within the first quarter; the others are its exact quarter turns.
    """
    quarters, rest = np.divmod(np.arange(num_frames), num_frames // 4)
    angles = 2 * np.pi * rest / num_frames
    cosines, sines = np.cos(angles), np.sin(angles)
    rotations = np.moveaxis(np.array([[cosines, -sines], [sines, cosines]]), -1, 0)
    exact = np.array([np.linalg.matrix_power(QUARTER_TURN, int(quarter)) for quarter in quarters])
    return Query(position, side, rotations, exact)


def choose_position(text: str | None, image: np.ndarray) -> tuple[int, int]:
    """The position in `ROW,COLUMN`, by default the brightest.

    Raises:
      UserError: anything but two indices of a position of the image.
    """
    return brightest(image) if text is None else parse(text, image)


def brightest(image: np.ndarray) -> tuple[int, int]:
    """The brightest position of an image; of several the one nearest to the centre."""
    brightness = image.mean(axis=-1)
    centre = (np.asarray(brightness.shape) - 1) / 2
    rows, columns = np.nonzero(brightness == brightness.max())
    nearest = np.hypot(rows - centre[0], columns - centre[1]).argmin()
    return int(rows[nearest]), int(columns[nearest])


def parse(text: str, image: np.ndarray) -> tuple[int, int]:
    """Reads `ROW,COLUMN`.

    Raises:
      UserError: anything but two indices of a position of the image.
    """
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--query: expected two integers ROW,COLUMN, such as 3,4; got {text!r}") from error
    rows, columns = image.shape[:2]
    if not (0 <= row < rows and 0 <= column < columns):
        raise UserError(f"--query: expected a position of the image, 0,0 to {rows - 1},{columns - 1}; got {text!r}")
    return row, column
