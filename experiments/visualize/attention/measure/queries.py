"""What self-attention pays to every position from one query, for images and their transforms: the query moves with them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments._visualize_measure import Difference, Layer, name
from experiments.errors import UserError
from experiments.results import summary
from gequi_jax import actions, groups, nn

ATTENDING = (nn.LiftingSelfAttention, nn.GroupSelfAttention)
UNIT = "probability"
QUARTER = np.array([[0, -1], [1, 0]])  # of offsets (row, column), counter-clockwise


@dataclasses.dataclass(frozen=True)
class Query:
    """A position that moves as the images do.

    A layer behind pooling or a crop has a smaller map. Its query is the position nearest to the same place relative to
    the map, and it moves exactly where the image does: for L_g f it is g i, on every map.

    Attributes:
      position: in the first image.
      side: of the images.
      turns: `[images, 2, 2]`, matrices that act on the place before the nearest position is taken,
      exact: `[images, 2, 2]`, and after it: those of elements that map the grid to itself.
    """

    position: tuple[int, int]
    side: int
    turns: np.ndarray
    exact: np.ndarray

    def on(self, side: int) -> np.ndarray:
        """The query of every image on a map of that side, `[images, 2]`."""
        place = (np.asarray(self.position) - (self.side - 1) / 2) * side / self.side
        steps = np.arange(side) - (side - 1) / 2  # symmetric about 0, as the group demands
        nearest = steps[np.abs((self.turns @ place)[..., None] - steps).argmin(axis=-1)]
        moved = np.einsum("nde,ne->nd", self.exact, nearest)
        return np.rint(moved + (side - 1) / 2).astype(int)


def moving_with(position: tuple[int, int], side: int, matrices: np.ndarray) -> Query:
    """A query that follows an image through transforms.

    Args:
      position: in the image.
      side: of the image.
      matrices: `[transforms, 2, 2]`, of elements that map the grid to itself, the identity first.
    """
    return Query(position, side, np.broadcast_to(np.eye(2), matrices.shape), matrices)


def turning_with(position: tuple[int, int], side: int, num_frames: int) -> Query:
    """A query that follows an image through a full turn in equal steps, a multiple of 4 of them.

    The nearest position is taken within the first quarter; the others are exact quarter turns of it.
    """
    quarters, rest = np.divmod(np.arange(num_frames), num_frames // 4)
    angles = 2 * np.pi * rest / num_frames
    turns = np.moveaxis(np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]), -1, 0)
    exact = np.array([np.linalg.matrix_power(QUARTER, int(quarter)) for quarter in quarters])
    return Query(position, side, turns, exact)


def brightest(image: np.ndarray) -> tuple[int, int]:
    """The brightest position of an image, of several the nearest to its centre."""
    brightness = image.mean(axis=-1)
    centre = (np.asarray(brightness.shape) - 1) / 2
    rows, columns = np.nonzero(brightness == brightness.max())
    nearest = np.hypot(rows - centre[0], columns - centre[1]).argmin()
    return int(rows[nearest]), int(columns[nearest])


def parse(text: str, image: np.ndarray) -> tuple[int, int]:
    """Reads `ROW,COLUMN`.

    Raises:
      UserError: other than two indices of a position of the image.
    """
    try:
        row, column = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--query {text!r}: expected two integers ROW,COLUMN, such as 3,4") from error
    rows, columns = image.shape[:2]
    if not (0 <= row < rows and 0 <= column < columns):
        raise UserError(
            f"--query {text!r}: expected a position from 0,0 to {rows - 1},{columns - 1}, those of the image"
        )
    return row, column


def layer_inputs(
    model: nnx.Module, images: np.ndarray, normalize: Callable[[Any], Any]
) -> tuple[np.ndarray, np.ndarray | None, list[tuple[str, nnx.Module, np.ndarray]]]:
    """Runs a network once and keeps what its self-attention layers read.

    Args:
      model: in evaluation mode; it is not changed.
      images: `[n, rows, columns, channels]` in [0, 1].
      normalize: what the network reads for them.

    Returns:
      Logits; the output of the lifting layer, or None; and of each layer of self-attention its name, itself, and its
      input, lifting first and the others in the order of their names.
    """
    paths = [path for path, module in nnx.iter_modules(model) if isinstance(module, ATTENDING)]
    paths.sort(key=lambda path: not isinstance(_at(model, path), nn.LiftingSelfAttention))
    recording = nnx.clone(model)
    for path in paths:
        _replace(recording, path, _Recorded(_at(recording, path)))
    graph, state = nnx.split(recording)

    @jax.jit
    def run(state: Any, images: jax.Array):
        network = nnx.merge(graph, state)
        logits, found = nnx.capture(network, nnx.Intermediate)(normalize(images))
        return logits, summary.lifted_maps(network, normalize(images)), [_at(found, path)["read"] for path in paths]

    logits, lifted, read = run(state, jnp.asarray(images))
    layers = [
        (name(path), _at(model, path), np.asarray(sown.get_value()[0])) for path, sown in zip(paths, read, strict=True)
    ]
    return np.asarray(logits), None if lifted is None else np.asarray(lifted), layers


def look(
    layers: Sequence[tuple[str, nnx.Module, np.ndarray]],
    query: Query,
    elements: Sequence[int],
    group: groups.FiniteGroup,
) -> tuple[list[Layer], list[Difference]]:
    """The probabilities that each layer pays from the query of each image, and how far they are from equivariant.

        p(j; h) of L_g f from g i = p(g^-1 j; g^-1 h) of f from i,  and p(g^-1 j, g^-1 b; g^-1 h, g^-1 a) on the group

    Args:
      layers: as from `layer_inputs`.
      query: of all images.
      elements: those by which the first images are transforms of the very first, the identity first.
      group: that they belong to.

    Returns:
      Of each layer its maps: mean over heads, on the group also over query poses a, and sum over key poses b; the poses
      that are left are those of the output. The differences are of all poses and heads.
    """
    found, errors = [], []
    for label, layer, inputs in layers:
        positions = query.on(inputs.shape[1])
        graph, state = nnx.split(layer)
        probabilities = functools.partial(_probabilities, graph, state)
        maps, largest, squares, first = [], 0.0, 0.0, None
        for index, (image, position) in enumerate(zip(inputs, positions, strict=True)):
            paid = np.asarray(probabilities(image[None], position=tuple(position.tolist())))
            first = paid if first is None else first
            if index < len(elements):
                off = paid.astype(np.float64) - moved(elements[index], first, group)
                largest, squares = max(largest, float(np.abs(off).max())), squares + float((off**2).mean())
            paid = paid.mean(axis=-1)  # heads
            maps.append(paid[0] if paid.ndim == 4 else paid[0].sum(axis=-1).mean(axis=-1))
        spread = max(float(first.std()) if first is not None else 0.0, 1e-12)
        found.append(Layer(label, np.asarray(maps), UNIT, positions))
        errors.append(Difference(label, largest, (squares / max(len(elements), 1)) ** 0.5 / spread))
    return found, errors


def moved(element: int, probabilities: np.ndarray, group: groups.FiniteGroup) -> np.ndarray:
    """L_g of probabilities `[n, rows, columns, *poses, heads]`: positions move, and every axis of poses is permuted."""
    source = group.cayley_table[group.inverses[element]]
    for axis in range(3, probabilities.ndim - 1):
        probabilities = probabilities.take(source, axis=axis)
    flat = probabilities.reshape(*probabilities.shape[:3], -1)
    return np.asarray(actions.act_on_grid(element, flat, group=group)).reshape(probabilities.shape)


@functools.partial(jax.jit, static_argnames=("graph", "position"))
def _probabilities(graph: Any, state: Any, x: jax.Array, *, position: tuple[int, int]) -> jax.Array:
    layer: Any = nnx.merge(graph, state)
    return layer.attention_probabilities(x, position)


class _Recorded(nnx.Module):
    """A layer that sows what it reads."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        self.sow(nnx.Intermediate, "read", x)
        return self.layer(x)


def _at(tree: Any, path: Sequence[Any]) -> Any:
    for part in path:
        tree = getattr(tree, part) if isinstance(tree, nnx.Module) and isinstance(part, str) else tree[part]
    return tree


def _replace(model: nnx.Module, path: Sequence[Any], module: nnx.Module) -> None:
    *parents, last = path
    parent = _at(model, parents)
    if isinstance(last, str):
        setattr(parent, last, module)
    else:
        parent[last] = module
