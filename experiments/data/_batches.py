"""Batches of examples, in an order that grain computes.

The order depends on (seed, step) alone, so a run interrupted at any batch resumes with the next one. All processes draw
the same global batch, and each reads its own consecutive rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import grain
import numpy as np

from experiments.data._sources import Batch, Source


def index_batches(num_examples: int, batch_size: int, *, seed: int) -> grain.MapDataset:
    """The indices of each batch, `index_batches(...)[step]`: a new random order each epoch, the incomplete batch dropped."""
    order = grain.MapDataset.range(num_examples).seed(seed).shuffle()
    return order.batch(batch_size, drop_remainder=True, batch_fn=np.asarray).repeat()


def training_batches(
    source: Source,
    *,
    batch_size: int,
    num_steps: int,
    seeds: Sequence[int],
    process_index: int = 0,
    process_count: int = 1,
    prefetch: int = 8,
) -> grain.DatasetIterator:
    """Iterates over this process's rows of every batch of a run; `get_state` and `set_state` save and restore the position.

    Args:
      source: the training examples.
      batch_size: of all processes together; a multiple of their number.
      num_steps: batches in the whole run.
      seeds: each has its own order; with more than one, batches get a leading axis of seeds.
      process_index: index of this process.
      process_count: number of processes that share a batch.
      prefetch: number of batches read ahead.
    """
    orders: list[Any] = [index_batches(len(source), batch_size, seed=seed) for seed in seeds]
    rows = batch_size // process_count
    mine = slice(process_index * rows, (process_index + 1) * rows)

    def load(step: int) -> Batch:
        batches = [source.fetch(order[step][mine]) for order in orders]
        if len(batches) == 1:
            return batches[0]
        return {key: np.stack([batch[key] for batch in batches]) for key in batches[0]}

    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=prefetch)
    return iter(grain.MapDataset.range(num_steps).map(load).to_iter_dataset(reading))


def evaluation_batches(source: Source, batch_size: int) -> Iterator[tuple[Batch, int]]:
    """Iterates over the examples in order; the last batch is padded with copies of its first example.

    Yields:
      A batch of exactly `batch_size` examples, and the number of examples that are not padding.
    """
    for start in range(0, len(source), batch_size):
        indices = np.arange(start, min(start + batch_size, len(source)))
        padding = np.full(batch_size - len(indices), start)
        yield source.fetch(np.concatenate([indices, padding])), len(indices)
