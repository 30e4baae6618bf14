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
      rotations: `[images, dim, dim]`, applied before the nearest position is taken.
      exact: `[images, dim, dim]`, elements that map the grid to itself, applied after it.
    """

    position: tuple[int, ...]
    side: int
    rotations: np.ndarray
    exact: np.ndarray

    def on(self, side: int) -> np.ndarray:
        """The query of every image on a map of that side, `[images, dim]`."""
        offset = (np.asarray(self.position) - (self.side - 1) / 2) * side / self.side
        grid = np.arange(side) - (side - 1) / 2  # symmetric about 0, as the group requires
        nearest = grid[np.abs((self.rotations @ offset)[..., None] - grid).argmin(axis=-1)]
        moved = np.einsum("nde,ne->nd", self.exact, nearest)
        return np.rint(moved + (side - 1) / 2).astype(int)


def transformed_query(position: tuple[int, ...], side: int, matrices: np.ndarray) -> Query:
    """A query that follows an image through transforms.

    Args:
      position: in the image.
      side: of the image.
      matrices: `[transforms, dim, dim]`, of elements that map the grid to itself, the identity first.
    """
    return Query(position, side, np.broadcast_to(np.eye(len(position)), matrices.shape), matrices)


def rotating_query(position: tuple[int, ...], side: int, num_frames: int) -> Query:
    """A query that follows an image through a full rotation in equal steps, a multiple of 4 of them.

    The nearest position is taken within the first quarter; the others are its exact quarter turns.
    """
    quarters, rest = np.divmod(np.arange(num_frames), num_frames // 4)
    angles = 2 * np.pi * rest / num_frames
    cosines, sines = np.cos(angles), np.sin(angles)
    rotations = np.moveaxis(np.array([[cosines, -sines], [sines, cosines]]), -1, 0)
    exact = np.array([np.linalg.matrix_power(QUARTER_TURN, int(quarter)) for quarter in quarters])
    return Query(position, side, rotations, exact)


def choose_position(text: str | None, image: np.ndarray) -> tuple[int, ...]:
    """The position in `ROW,COLUMN` or `DEPTH,ROW,COLUMN`, by default the brightest.

    Raises:
      UserError: anything but the indices of a position of the image.
    """
    return brightest(image) if text is None else parse(text, image)


def brightest(image: np.ndarray) -> tuple[int, ...]:
    """The brightest position of an image; of several the one nearest to the centre."""
    brightness = image.mean(axis=-1)
    centre = (np.asarray(brightness.shape) - 1) / 2
    positions = np.argwhere(brightness == brightness.max())
    nearest = positions[np.linalg.norm(positions - centre, axis=-1).argmin()]
    return tuple(nearest.tolist())


def parse(text: str, image: np.ndarray) -> tuple[int, ...]:
    """Reads `ROW,COLUMN`, of a volume `DEPTH,ROW,COLUMN`.

    Raises:
      UserError: anything but the indices of a position of the image.
    """
    sizes = image.shape[:-1]
    try:
        position = tuple(int(part) for part in text.split(","))
    except ValueError:
        position = ()
    if len(position) != len(sizes):
        wanted = "two integers ROW,COLUMN, such as 3,4" if len(sizes) == 2 else "three integers DEPTH,ROW,COLUMN"
        raise UserError(f"--query: expected {wanted}; got {text!r}")
    if not all(0 <= index < size for index, size in zip(position, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        raise UserError(
            f"--query: expected a position of the image, {','.join('0' * len(sizes))} to {last}; got {text!r}"
        )
    return position
