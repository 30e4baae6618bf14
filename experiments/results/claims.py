"""The orders that the two papers claim, and what the recorded runs say of each."""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from experiments.results import comparison, tables

_AGC = "Romero et al. (2020), Tab. 1"
_GSA = "Romero & Cordonnier (2021)"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A row of a table that has a lower error than another one.

    Attributes:
      better: the name of the row with the lower error.
      worse: that of the other row.
      source: the paper and the table.
    """

    better: str
    worse: str
    source: str


CLAIMS = (
    Claim("rotmnist:p4_cnn", "rotmnist:z2_cnn", "Cohen & Welling (2016)"),
    Claim("rotmnist:alpha_rh_p4_cnn", "rotmnist:p4_cnn", _AGC),
    Claim("rotmnist:alpha_f_p4_cnn", "rotmnist:alpha_rh_p4_cnn", _AGC),
    Claim("rotmnist:alpha_f_p4_cnn", "rotmnist:p4_cnn", _AGC),
    Claim("rotmnist:alpha_p4_cnn", "rotmnist:alpha_f_p4_cnn", _AGC),
    Claim("rotmnist:r4_sa", "rotmnist:z2_sa", f"{_GSA}, Tab. 2"),
    Claim("rotmnist:r8_sa", "rotmnist:r4_sa", f"{_GSA}, Tab. 2"),
    Claim("rotmnist:r4_sa_5x5", "rotmnist:r4_sa_3x3", f"{_GSA}, Tab. 1"),
    Claim("rotmnist:r4_sa_11x11", "rotmnist:r4_sa_3x3", f"{_GSA}, Tab. 1"),
    Claim("cifar10:p4_all_cnn", "cifar10:z2_all_cnn", f"{_GSA}, Tab. 2"),
    Claim("cifar10:alpha_f_p4_all_cnn", "cifar10:p4_all_cnn", "Romero et al. (2020), Tab. 2"),
)


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the runs say of a claim.

    Attributes:
      claim: the claim.
      names: the two records, better and worse.
      errors: their mean test errors in percent.
      found: the difference of the accuracies, or None where a run has one seed.
      verdict: "confirmed" or "contradicted" where the 95 % interval of the difference does not contain 0, else "open".
    """

    claim: Claim
    names: tuple[str, str]
    errors: tuple[float, float]
    found: comparison.Difference | None
    verdict: Literal["confirmed", "contradicted", "open"]


def judge(records: Mapping[str, Mapping[str, Any]]) -> Iterator[Judgement]:
    """Judges each claim of which both rows were trained alike, by the pair with the most seeds, then epochs.

    Args:
      records: of finished runs by name.
    """
    for claim in CLAIMS:
        pairs = [
            (better, worse)
            for better in tables.runs_of(claim.better, records)
            for worse in tables.runs_of(claim.worse, records)
            if tables.trained_alike(records[better], records[worse])
        ]
        if pairs:
            names = max(pairs, key=lambda pair: _weight(records, pair))
            yield _judgement(claim, names, *(records[name] for name in names))


def _weight(records: Mapping[str, Mapping[str, Any]], pair: tuple[str, str]) -> tuple[int, int]:
    return min(len(records[name]["seeds"]) for name in pair), records[pair[0]]["epochs"]


def _judgement(claim: Claim, names: tuple[str, str], better: Mapping[str, Any], worse: Mapping[str, Any]) -> Judgement:
    first, second = (100 - 100 * statistics.fmean(record["test_accuracy_by_seed"]) for record in (better, worse))
    found = comparison.difference(worse, better)
    verdict = "open"
    if found is not None and found.low > 0:
        verdict = "confirmed"
    elif found is not None and found.high < 0:
        verdict = "contradicted"
    return Judgement(claim, names, (first, second), found, verdict)
