"""RESULTS.md: that it agrees with the recorded runs, and what stands where."""

from experiments import report
from experiments.config import rows
from experiments.results import page, records
from gequi_jax import models
from tests.experiments.results.records import record

PAGE = report.OUTPUT


def test_the_page_is_that_of_the_recorded_runs():
    text = PAGE.read_text()
    assert text == page.render(records.load(records.FOLDER), **page.kept_parts(text)), (
        "run `python -m experiments.report`"
    )
    assert len(page.kept_parts(text)["findings"].splitlines()) > 3


def test_every_recorded_run_can_be_repeated_and_is_exact():
    for name, recorded in records.load(records.FOLDER).items():
        assert recorded["test_reads"] >= len(recorded["scores"]) or recorded["config"]["num_seeds"] > 1, name
        assert len(recorded["scores"]) == len(recorded["seeds"]), name
        assert "python -m experiments.main" in recorded["command"], name
        assert max(recorded["equivariance"]["relative"]) < 1e-5, name


def cells(text, first):
    lines = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    titles = next(line for line in reversed(lines[: lines.index(first)]) if len(line) == len(first))
    return dict(zip(titles, first, strict=True))


def rows_of(text, start):
    found = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cells(text, row) for row in found]


def test_the_overview_has_the_run_that_follows_the_row_best():
    runs = {
        "short": record(num_epochs=30, schedule="cosine"),
        "whole": record(accuracies=(0.98, 0.981, 0.982)),
        "other data": record(num_train=100),
        "other network": record(model_overrides={"features": 20}),
    }
    (row,) = rows_of(page.render(runs), "`rotmnist:p4_cnn`")
    assert (row["error"], row["published error"], row["difference"]) == ("1.90 ± 0.10", "2.05 (test)", "-0.15")
    assert (row["seeds"], row["epochs"], row["settings"]) == ("3", "100", "")
    (row,) = rows_of(page.render({"short": runs["short"]}), "`rotmnist:p4_cnn`")
    assert (row["epochs"], row["settings"]) == ("30 of 100", "schedule=cosine")
    (row,) = rows_of(page.render({"other data": runs["other data"]}), "`rotmnist:p4_cnn`")
    assert (row["difference"], row["settings"]) == ("", "num_train=100")
    assert not rows_of(page.render({"other": runs["other network"]}), "`rotmnist:p4_cnn`")


def test_what_is_written_by_hand_stays():
    text = page.render({"p4": record()}, findings="p4 is good.", remarks="Two seeds.")
    assert page.kept_parts(text) == {"findings": "p4 is good.", "remarks": "Two seeds."}
    assert page.render({"p4": record()}, **page.kept_parts(text)) == text
    assert text.index("p4 is good.") < text.index("## At a glance") < text.index("Two seeds.")


def test_the_points_of_the_picture():
    runs = {"p4": record(num_epochs=10), "z2": record("rotmnist:z2_cnn", (0.93,))}
    points = {(point["label"], point["is_ours"]): point for point in page.points(runs)}
    assert points["p4_cnn", True]["operations"] == 3 * 1e6 * 10_000 * 10
    assert points["p4_cnn", False] | {"error": 0} == {
        "label": "p4_cnn",
        "error": 0,
        "parameters": 24610,
        "operations": 3 * 1e6 * 10_000 * 100,
        "is_ours": False,
    }
    assert points["r8_sa", False]["operations"] is None
    assert abs(points["r8_sa", False]["error"] - 2.1) < 1e-9
    assert not any(page.points({"digits": record("digits:alpha_f_p4_cnn")}))


def test_published_errors_are_those_of_the_models():
    """Rows and models state the published numbers on their own."""
    for name in rows.names():
        row = rows.find(name)
        reported = models.model_info(rows.config_of(row).model).reported_metric
        if reported is not None and row.published_error is not None and "model_overrides" not in row.settings:
            assert abs(100 - reported - row.published_error) < 0.006, name
