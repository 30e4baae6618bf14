"""Numbers and their bootstrap intervals as plain data; NaN is None."""

from collections.abc import Sequence

import numpy as np


def plain(value: float) -> float | None:
    """The number, or None for one without a meaning."""
    return None if np.isnan(value) else float(value)


def percentile_interval(values: Sequence[float] | np.ndarray) -> list[float] | None:
    """The middle 95 % of resampled numbers, without those that have no meaning."""
    known = np.asarray(values)[~np.isnan(values)]
    return [float(bound) for bound in np.percentile(known, (2.5, 97.5))] if known.size else None
