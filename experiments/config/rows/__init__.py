"""The rows of the papers' tables and of our own: one module for each data set, and in it the settings of each row.

`--config rotmnist:r4_sa` names a row by data set and key; `rotmnist_r4_sa`, the name of its model, means the same.
"""

from collections.abc import Iterator, Mapping

from experiments.config._typing import Config
from experiments.config.rows import adrenalmnist3d, cifar10, digits, membranes, pcam, rotmnist
from experiments.config.rows._row import Row
from experiments.config.schema import default_config

TABLES: Mapping[str, Mapping[str, Row]] = {
    "digits": digits.ROWS,
    "rotmnist": rotmnist.ROWS,
    "cifar10": cifar10.ROWS,
    "pcam": pcam.ROWS,
    "adrenalmnist3d": adrenalmnist3d.ROWS,
    "membranes": membranes.ROWS,
}
# A data set alone means its first row.
_SHORTCUTS = {"default": "digits"} | {name: name for name in TABLES}


def names() -> Iterator[str]:
    """The names of all rows, as in "rotmnist:r4_sa"."""
    for dataset, rows in TABLES.items():
        for key in rows:
            yield f"{dataset}:{key}"


def find(name: str) -> Row | None:
    """The row of a name: "rotmnist:r4_sa", "rotmnist_r4_sa", "rotmnist" or "default"; None if there is none."""
    if name in _SHORTCUTS:
        return next(iter(TABLES[_SHORTCUTS[name]].values()))
    dataset, _, key = name.replace(":", "_", 1).partition("_")
    return TABLES.get(dataset, {}).get(key)


def config_of(row: Row) -> Config:
    """The configuration of a row: the defaults, with the settings of the row."""
    config = default_config()
    config.update(row.settings)
    return config
