"""The page of results: everything on it but the findings and the remarks is written from the recorded runs."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.config import Config, rows
from experiments.results import claims, comparison, tables
from gequi_jax import models

Record = Mapping[str, Any]
Records = Mapping[str, Record]

FINDINGS = ("<!-- findings, kept by the program -->", "<!-- end of the findings -->")
REMARKS = "<!-- remarks, kept by the program -->"
SHORT = " (short)"
_INTRODUCTION = """\
Written by `python -m experiments.report` from the runs in `experiments/recorded`. Errors and accuracies are of the
test set, in percent, with the standard deviation over seeds. Every run selects its epoch on the validation split and reads
the test split once, at the end; the program counts these reads, and those of later commands.
"""
_OVERVIEW = """\
Published: "test" where the published code is known to select the epoch on the test set, which makes a number optimistic.
Difference: our error minus the published one, for runs on all training images. Settings: in what the run departs from the
settings of its row.
"""
_PLOT = """\
![Test errors on rotated MNIST against parameters and against operations of training]({})

Rotated MNIST: published (hollow) and ours (filled). Operations are three times those of the forward pass, for every image of
every epoch.
"""
_CLAIMS = """\
Each order that a paper claims, by the runs here whose training is alike. "Confirmed" and "contradicted": the 95 % interval of
the difference of the two accuracies (Welch's t-test over seeds) lies on one side of 0. The p-values are two-sided and not
corrected for the number of claims.
"""
_DIFFERENCES = """\
Welch's t-test over seeds: the second run minus the first, its 95 % interval, and the two-sided p-value, which is not corrected
for the number of comparisons.
"""
_AVERAGES = """\
The probabilities of a trained network, averaged over the images under a group (`python -m experiments.evaluate RUN
--over_group GROUP`), at the cost of one pass for each element. Turns that are no multiple of 90 degrees interpolate.
"""
_RUNS = """\
"Largest change" is the largest relative change of the logits of test images under the elements of the group that preserve the
grid, after training. A run marked "short" had fewer epochs or training images than its row of the table, and is not
comparable with published numbers. "Validation" and "score" are means of the metric that selects the epoch, on the validation
split and, where that is not the accuracy, on the test split. "Test reads" are those of all its seeds.
"""


def render(records: Records, *, findings: str = "", remarks: str = "", plot: str = "RESULTS.svg") -> str:
    """The page.

    Args:
      records: of finished runs by name.
      findings: what stands at the top, written by hand.
      remarks: what stands at the end, written by hand.
      plot: the address of the picture.
    """
    overview = list(_overview(records))
    judged = list(_judged(records))
    compared = [_difference_cells(pair, found) for pair, found in sorted(comparison.differences(records).items())]
    sections = [
        ("# Results", _INTRODUCTION),
        ("", "\n".join((FINDINGS[0], findings.strip(), FINDINGS[1]))),
        ("## At a glance", _table(_OVERVIEW, _OVERVIEW_COLUMNS, overview)),
        ("", _PLOT.format(plot) if any(points(records)) else ""),
        ("## Orders that the papers claim", _table(_CLAIMS, _CLAIM_COLUMNS, judged)),
        ("## All runs", _table(_RUNS, _RUN_COLUMNS, [_run_cells(*item) for item in _sorted(records)])),
        ("## Averages over a group", _table(_AVERAGES, _AVERAGE_COLUMNS, list(_averages(records)))),
        ("## Differences", _table(_DIFFERENCES, _DIFFERENCE_COLUMNS, compared)),
        (
            "## Commands that repeat them",
            "\n".join(f"- {name}: `{records[name]['command']}`" for name in sorted(records)),
        ),
        ("", f"{REMARKS}\n{remarks.strip()}"),
    ]
    shown = [part for title, text in sections if text for part in (title, text.strip()) if part]
    return "\n\n".join(shown) + "\n"


def kept_parts(page: str) -> dict[str, str]:
    """The findings and the remarks of a page, which the next one keeps."""
    findings = page.partition(FINDINGS[0])[2].partition(FINDINGS[1])[0]
    return {"findings": findings.strip(), "remarks": page.partition(REMARKS)[2].strip()}


def points(records: Records) -> Iterator[dict[str, Any]]:
    """The networks on rotated MNIST in the picture: published where a paper has a number, and ours where they were run.

    Each has a `label`, `error`, `parameters`, `operations` of its training (None where they are not known), `is_ours`.
    """
    recorded = dict(tables.overview(records))
    if not any(name.startswith("rotmnist:") for name in recorded):
        return
    for name, row in rows.TABLES["rotmnist"].items():
        ours = records.get(recorded.get(f"rotmnist:{name}", ""))
        parameters = models.model_info(row.settings["model"]).reported_params
        if row.published_error is not None and parameters is not None and "model_overrides" not in row.settings:
            operations = None if ours is None else _operations(ours["flops"], 10_000, row.settings["num_epochs"])
            yield _point(name, row.published_error, parameters, operations, is_ours=False)
        if ours is not None:
            operations = _operations(ours["flops"], ours["num_train"], ours["epochs"])
            yield _point(name, 100 - 100 * ours["test_accuracy"], ours["parameters"], operations, is_ours=True)


def _operations(flops: float, images: int, epochs: int) -> float:
    return 3 * flops * images * epochs


def _point(label: str, error: float, parameters: int, operations: float | None, *, is_ours: bool) -> dict[str, Any]:
    return {"label": label, "error": error, "parameters": parameters, "operations": operations, "is_ours": is_ours}


_OVERVIEW_COLUMNS = (
    "row",
    "published error",
    "error",
    "difference",
    "score",
    "seeds",
    "epochs",
    "parameters",
    "settings",
)


def _overview(records: Records) -> Iterator[list[str]]:
    for name, recorded in tables.overview(records):
        record, row = records[recorded], rows.find(name)
        assert row is not None
        published, ours = row.published_error, 100 - 100 * record["test_accuracy"]
        selection = " (test)" if row.is_published_on_test else ""
        changed = tables.changes_of_settings(record, name)
        epochs = rows.config_of(row).num_epochs
        yield [
            f"`{name}`",
            "" if published is None else f"{published:.2f}{selection}",
            f"{ours:.2f}{_spread(record)}",
            "" if published is None or "num_train" in changed else f"{ours - published:+.2f}",
            _score(record),
            str(len(record["seeds"])),
            str(epochs) if record["epochs"] == epochs else f"{record['epochs']} of {epochs}",
            f"{record['parameters']:,}",
            ", ".join(f"{field}={value}" for field, value in changed.items() if field != "num_epochs"),
        ]


_CLAIM_COLUMNS = (
    "lower error",
    "than",
    "claimed by",
    "errors",
    "seeds",
    "epochs",
    "difference",
    "interval",
    "p",
    "verdict",
)


def _judged(records: Records) -> Iterator[list[str]]:
    for judgement in claims.judge(records):
        found, pair = judgement.found, [records[name] for name in judgement.names]
        yield [
            f"`{judgement.claim.better}`",
            f"`{judgement.claim.worse}`",
            judgement.claim.source,
            " and ".join(f"{error:.2f}" for error in judgement.errors),
            " and ".join(str(len(record["seeds"])) for record in pair),
            str(pair[0]["epochs"]),
            f"{judgement.errors[1] - judgement.errors[0]:+.2f}",
            "" if found is None else f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
            "" if found is None else f"{found.p:.2g}",
            judgement.verdict,
        ]


_RUN_COLUMNS = (
    "run",
    "data",
    "published accuracy",
    "test accuracy",
    "test error",
    "validation",
    "score",
    "seeds",
    "test reads",
    "parameters",
    "published",
    "epochs",
    "training images",
    "largest change",
    "hardware",
    "hours",
    "commit",
)


def _sorted(records: Records) -> list[tuple[str, Record]]:
    return sorted(records.items(), key=lambda item: (item[1]["dataset"], item[0]))


def _run_cells(name: str, record: Record) -> list[str]:
    info = None if record["config"]["model_overrides"] else models.model_info(record["model"])
    accuracy = 100 * record["test_accuracy"]
    validation = [value for value in record.get("validation_by_run", ()) if value is not None]
    environment, changes = record["environment"], record.get("equivariance")
    return [
        f"{name}{SHORT if is_short(record) else ''}",
        record["dataset"],
        "" if info is None or info.reported_metric is None else f"{info.reported_metric:g}",
        f"{accuracy:.2f}{_spread(record)}",
        f"{100 - accuracy:.2f}{_spread(record)}",
        f"{statistics.fmean(validation):.4f}" if validation else "",
        _score(record),
        str(len(record["seeds"])),
        str(record["test_reads"]),
        f"{record['parameters']:,}",
        "" if info is None or info.reported_params is None else f"{info.reported_params:,}",
        str(record["epochs"]),
        f"{record['num_train']:,}",
        "" if changes is None else f"{max(changes['relative']):.1e} ({changes['group']})",
        f"{environment['num_devices']} x {environment['device']}",
        f"{record['seconds'] / 3600:.2f}",
        environment["commit"] or "",
    ]


def is_short(record: Record) -> bool:
    """Whether a run had fewer epochs or images than the row of its model, if there is one."""
    row = _row(record["model"])
    cut = ("num_train", "downscale")
    return row is not None and (
        record["epochs"] < row.num_epochs or any(record["config"].get(name, row[name]) != row[name] for name in cut)
    )


def _row(model: str) -> Config | None:
    """The configuration of the row of a model, or None."""
    row = rows.find(model)
    return None if row is None else rows.config_of(row)


def _spread(record: Record) -> str:
    deviation = record["test_accuracy_std"]
    return "" if deviation is None else f" ± {100 * deviation:.2f}"


def _score(record: Record) -> str:
    if record["metric"] == "accuracy":
        return ""
    spread = f" ± {statistics.stdev(record['scores']):.4f}" if len(record["scores"]) > 1 else ""
    return f"{record['metric']} {statistics.fmean(record['scores']):.4f}{spread}"


_DIFFERENCE_COLUMNS = ("first run", "second run", "metric", "seeds", "difference", "interval", "p")


def _difference_cells(pair: tuple[str, str], found: comparison.Difference) -> list[str]:
    low, high = f"{found.low:+.4f}", f"{found.high:+.4f}"
    seeds = "{} and {}".format(*found.seeds)
    return [*pair, found.metric, seeds, f"{found.mean:+.4f}", f"{low} to {high}", f"{found.p:.2g}"]


_AVERAGE_COLUMNS = ("run", "over", "validation error", "test error", "test error of the network")


def _averages(records: Records) -> Iterator[list[str]]:
    for name, record in sorted(records.items()):
        for group, by_split in record.get("averages", {}).items():
            errors = (by_split.get(split) for split in ("validation", "test"))
            cells = ["" if values is None else f"{100 - 100 * statistics.fmean(values):.2f}" for values in errors]
            yield [name, group, *cells, f"{100 - 100 * record['test_accuracy']:.2f}"]


def _table(text: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """The text, then the table; nothing without rows."""
    lines = [" | ".join(row) for row in (columns, *cells)]
    lines = ["| " + line + " |" for line in lines]
    return "\n".join([text, lines[0], "|" + "---|" * len(columns), *lines[1:]]) if cells else ""
