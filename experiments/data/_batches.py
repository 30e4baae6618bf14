"""Batches of examples, in an order that grain computes.

The order depends on (seed, step) alone, so a run interrupted at any batch resumes with the next one. All processes draw
the same global batch, and each reads its own consecutive rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import grain
import numpy as np

from experiments.data._masked import TiledSource
from experiments.data._sources import Batch, Source, labels_of
from experiments.errors import UserError

# Batches read ahead.
PREFETCH = 8


def index_batches(num_examples: int, batch_size: int, *, seed: int) -> grain.MapDataset:
    """The indices of each batch, `index_batches(...)[step]`: a new random order each epoch, the incomplete batch dropped."""
    order = grain.MapDataset.range(num_examples).seed(seed).shuffle()
    return order.batch(batch_size, drop_remainder=True, batch_fn=np.asarray).repeat()


class BalancedBatches:
    """Batches in which the classes take turns, each in a new random order whenever it is through.

    `batches[step]` is `[batch]`; like `index_batches` a function of (seed, step) alone.

    Args:
      labels: `[n]`.
      batch_size: examples of a batch.
      seed: of the orders.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, *, seed: int):
        self.batch_size = batch_size
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.orders: list[Any] = [
            grain.MapDataset.range(len(members)).seed(seed + place).shuffle().repeat()
            for place, members in enumerate(self.members)
        ]

    def __getitem__(self, step: int) -> np.ndarray:
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        turns, places = positions // len(self.members), positions % len(self.members)
        return np.asarray(
            [self.members[place][self.orders[place][int(turn)]] for turn, place in zip(turns, places, strict=True)]
        )


def training_batches(
    source: Source,
    *,
    batch_size: int,
    num_steps: int,
    seeds: Sequence[int],
    process_index: int = 0,
    process_count: int = 1,
    balanced: bool = False,
) -> grain.DatasetIterator:
    """Iterates over this process's rows of every batch of a run; `get_state` and `set_state` save and restore the position.

    Args:
      source: the training examples; the places of tiles depend on (seed, step) alone, too.
      batch_size: of all processes together; a multiple of their number.
      num_steps: batches in the whole run.
      seeds: one order for each; with more than one, batches get a leading axis of seeds.
      process_index: which rows.
      process_count: how many processes share a batch.
      balanced: whether each class has the same share of every batch.
    """
    labels = labels_of(source) if balanced else None
    if labels is not None and labels.ndim > 1:
        raise UserError("sampling=balanced needs one class for each image; these have several labels")
    orders: list[Any] = [
        index_batches(len(source), batch_size, seed=seed)
        if labels is None
        else BalancedBatches(labels, batch_size, seed=seed)
        for seed in seeds
    ]
    rows = batch_size // process_count
    mine = slice(process_index * rows, (process_index + 1) * rows)

    def load(step: int) -> Batch:
        batches = [_rows(source, order[step], mine, (seed, step)) for order, seed in zip(orders, seeds, strict=True)]
        if len(batches) == 1:
            return batches[0]
        return {key: np.stack([batch[key] for batch in batches]) for key in batches[0]}

    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCH)
    return iter(grain.MapDataset.range(num_steps).map(load).to_iter_dataset(reading))


def _rows(source: Source, indices: np.ndarray, rows: slice, entropy: tuple[int, int]) -> Batch:
    if isinstance(source, TiledSource):
        return source.draw(indices, np.random.default_rng(entropy), rows)
    return source.fetch(indices[rows])


def evaluation_batches(source: Source, batch_size: int) -> Iterator[tuple[Batch, int]]:
    """Iterates over the examples in order; the last batch is padded with copies of its first example.

    Yields:
      A batch of exactly `batch_size` examples, and the number of examples that are not padding.
    """
    for start in range(0, len(source), batch_size):
        indices = np.arange(start, min(start + batch_size, len(source)))
        padding = np.full(batch_size - len(indices), start)
        yield source.fetch(np.concatenate([indices, padding])), len(indices)
