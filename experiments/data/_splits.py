"""Held-out splits: stratified by class where possible, without splitting groups such as patients."""

import numpy as np

from experiments.errors import UserError


def default_number(total: int) -> int:
    """How many examples are held out where nobody says: an eighth."""
    return max(1, round(total / 8))


def hold_out(
    labels: np.ndarray, groups: np.ndarray | None, number: int, *, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the examples that stay and those that are held out.

    Args:
      labels: `[n]`, whose proportions are kept where every class allows it; otherwise `[n, classes]`, or masks as objects.
      groups: `[n]`, such as patients, which stay together; None where each example is its own.
      number: of examples to hold out (0: an eighth); with groups, about so many.
      seed: of the draw.
      name: what messages call the data set.

    Returns:
      Indices that stay, indices held out, each sorted.

    Raises:
      UserError: nothing left to train on, or nothing held out.
    """
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

    total = len(labels)
    number = number or default_number(total)
    if not 0 < number < total:
        raise UserError(
            f"{name} has {total} training examples, of which {number} are to be held out; "
            f"expected between 1 and {total - 1}"
        )
    places = np.zeros(total)
    if groups is not None:
        if len(np.unique(groups)) < 2:
            raise UserError(f"{name}: all examples belong to one group; expected at least two to hold one out")
        share = min(max(number / total, 1 / len(np.unique(groups))), 1 - 1 / len(np.unique(groups)))
        split = GroupShuffleSplit(1, test_size=share, random_state=seed).split(places, groups=groups)
    elif labels.ndim == 1 and labels.dtype != object and _can_be_stratified(labels, number):
        split = StratifiedShuffleSplit(1, test_size=number, random_state=seed).split(places, labels)
    else:
        split = ShuffleSplit(1, test_size=number, random_state=seed).split(places)
    kept, held = next(iter(split))
    return np.sort(kept), np.sort(held)


def _can_be_stratified(labels: np.ndarray, number: int) -> bool:
    counts = np.unique(labels, return_counts=True)[1]
    return bool(counts.min() >= 2 and len(counts) <= min(number, len(labels) - number))
