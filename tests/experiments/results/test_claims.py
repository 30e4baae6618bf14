"""What runs say of the orders that the papers claim."""

import pytest

from experiments.config import rows
from experiments.results import claims
from tests.experiments.results.records import record

P4, Z2 = "rotmnist:p4_cnn", "rotmnist:z2_cnn"


def judged(records, better=P4, worse=Z2):
    found = [item for item in claims.judge(records) if (item.claim.better, item.claim.worse) == (better, worse)]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("p4", "z2", "verdict"),
    [
        ((0.97, 0.972), (0.93, 0.931), "confirmed"),
        ((0.93, 0.931), (0.97, 0.972), "contradicted"),
        ((0.97, 0.93), (0.95, 0.94), "open"),
        ((0.97,), (0.93, 0.931), "open"),
    ],
)
def test_the_interval_decides(p4, z2, verdict):
    found = judged({"p4": record(P4, p4), "z2": record(Z2, z2)})
    assert found.verdict == verdict
    assert found.names == ("p4", "z2")
    assert found.errors == pytest.approx((100 - 100 * sum(p4) / len(p4), 100 - 100 * sum(z2) / len(z2)))
    assert (found.found is None) == (len(p4) == 1)


def test_only_the_same_training_is_compared():
    long, short = record(P4, (0.98, 0.981)), record(P4, (0.97, 0.971), num_epochs=30)
    z2 = record(Z2, (0.93, 0.931), num_epochs=30)
    assert judged({"long": long, "short": short, "z2": z2}).names == ("short", "z2")
    assert judged({"long": long, "z2": z2}) is None
    assert judged({"long": long}) is None


def test_most_seeds_decide():
    few, many = ({"num_epochs": 100}, (0.97, 0.972)), ({"num_epochs": 30}, (0.95, 0.951, 0.952))
    records = {
        f"{row} {config['num_epochs']}": record(row, accuracies, **config)
        for row in (P4, Z2)
        for config, accuracies in (few, many)
    }
    assert judged(records).names == (f"{P4} 30", f"{Z2} 30")


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.better + " < " + claim.worse)
def test_the_papers_claim_it(claim):
    better, worse = (rows.find(name).published_error for name in (claim.better, claim.worse))
    assert better < worse
