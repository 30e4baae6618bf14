"""Which recorded runs belong to which row of a table, and how far they follow its settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.config import rows, saved, schema

# A run belongs to a row if these are those of the row: the network and the images.
_NETWORK_AND_DATA = ("model", "model_overrides", "dataset", "downscale", "augmentation", "class_weights")
# These may differ between runs of the same training.
_OF_THE_RUN = (schema.FREE_ON_RESUME - {"num_epochs"}) | {"seed", "num_seeds"}


def runs_of(row: str, records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The records of the network of a row on its data, those that follow its settings best first, then the most seeds."""
    changed = {name: changes_of_settings(record, row) for name, record in records.items()}
    alike = [name for name, fields in changed.items() if not set(fields) & set(_NETWORK_AND_DATA)]
    return sorted(alike, key=lambda name: (len(changed[name]), -len(records[name]["seeds"])))


def overview(records: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Each row that was run, with the name of its record that follows the settings of the row best."""
    for row in rows.names():
        found = runs_of(row, records)
        if found:
            yield row, found[0]


def trained_alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two runs differ in nothing but their network, and settings that do not change the training."""
    free = _OF_THE_RUN | {"model", "model_overrides"}
    configs = [saved.as_plain(saved.from_plain(dict(record["config"]))) for record in (first, second)]
    return all(configs[0][name] == configs[1][name] for name in configs[0] if name not in free)


def changes_of_settings(record: Mapping[str, Any], row: str) -> dict[str, Any]:
    """The settings in which a run departs from a row, but for its seed and those that do not change the result."""
    changes = saved.changes(dict(record["config"]), row)
    return {name: value for name, value in changes.items() if name not in _OF_THE_RUN}
