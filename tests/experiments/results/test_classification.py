import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from experiments.results import classification, metrics

RANDOM = np.random.default_rng(0)


def example(task, count=60, classes=4):
    labels = RANDOM.integers(0, 2, (count, classes)) if task == "multi_label" else RANDOM.integers(0, classes, count)
    signal = labels if task == "multi_label" else np.eye(classes)[labels]
    return signal + RANDOM.normal(size=(count, classes)), labels


@pytest.mark.parametrize("task", ["classes", "multi_label", "ordinal"])
def test_every_metric_has_a_value_inside_its_interval(task):
    logits, labels = example(task)
    measured = classification.classification_metrics(logits, labels, task)
    assert {"auc", "accuracy", "balanced_accuracy", "average_precision", "f1"} <= set(measured)
    for name, metric in measured.items():
        low, high = metric["interval"]
        assert low < high, name
        assert low <= metric["value"] <= high, name
    assert ("quadratic_kappa" in measured) == (task == "ordinal")


def test_values_are_those_of_scikit_learn():
    logits, labels = example("classes")
    probabilities = metrics.probabilities(logits)
    measured = {
        name: m["value"] for name, m in classification.classification_metrics(logits, labels, "classes").items()
    }
    assert measured["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert measured["accuracy"] == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert measured["f1"] == pytest.approx(sklearn_metrics.f1_score(labels, probabilities.argmax(1), average="macro"))
    assert measured["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, probabilities.argmax(1))
    )


@pytest.mark.slow
def test_intervals_contain_the_true_value_about_as_often_as_they_say(monkeypatch):
    """Of 60 samples of 150 answers, each right with probability 0.8."""
    asked = {name: classification.METRICS["classes"][name] for name in ("accuracy", "balanced_accuracy")}
    monkeypatch.setattr(classification, "METRICS", {"classes": asked})
    random, covered = np.random.default_rng(1), 0
    for _ in range(60):
        labels = random.integers(0, 2, 150)
        answers = np.where(random.random(150) < 0.8, labels, 1 - labels)
        measured = classification.classification_metrics(4 * np.eye(2)[answers], labels, "classes")
        low, high = measured["balanced_accuracy"]["interval"]
        covered += low <= 0.8 <= high
    assert 50 <= covered <= 60


def test_a_metric_without_a_meaning_is_none():
    logits, labels = example("classes")
    measured = classification.classification_metrics(logits, np.zeros_like(labels), "classes")
    assert measured["auc"] == {"value": None, "interval": None}
    # All right answers: the accuracy still has an interval of some width.
    perfect = classification.classification_metrics(9 * np.eye(4)[labels], labels, "classes")
    assert perfect["accuracy"]["interval"][0] < 1


@pytest.mark.parametrize("name", classification.SELECTABLE)
def test_more_of_a_selecting_metric_is_better(name):
    logits, labels = example("classes")
    assert classification.metric(name, 3 * np.eye(4)[labels], labels, "classes") > classification.metric(
        name, logits, labels, "classes"
    )
    by_seed = classification.metric(name, np.stack([logits, -logits]), labels, "classes")
    assert by_seed.shape == (2,)
    assert by_seed[0] == pytest.approx(float(classification.metric(name, logits, labels, "classes")))


def test_several_labels():
    logits, labels = example("multi_label", classes=3)
    summary = metrics.summarize(logits, labels, "multi_label")
    probabilities = 1 / (1 + np.exp(-logits))
    losses = -(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities))
    assert summary["loss"] == pytest.approx(losses.mean())
    assert summary["accuracy"] == pytest.approx(((probabilities > 0.5) == labels).mean())
    matrix = metrics.confusion_matrix(logits, labels)
    assert matrix.shape == (3, 2, 2)
    assert matrix[1, 1, 1] == ((labels[:, 1] == 1) & (probabilities[:, 1] > 0.5)).sum()
    assert 0 <= metrics.calibration_error(logits, labels) <= 1


@pytest.mark.parametrize("task", ["classes", "multi_label"])
def test_logits_of_probabilities(task):
    logits, _ = example(task)
    probabilities = metrics.probabilities(logits, task)
    again = metrics.probabilities(metrics.logits_of(probabilities, task), task)
    np.testing.assert_allclose(again, probabilities, atol=1e-12)
