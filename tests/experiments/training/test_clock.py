import pytest

from experiments.training import clock


@pytest.fixture
def now(monkeypatch):
    """A clock on the wall that only the test moves."""
    time = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: time[0])
    return time


def test_the_first_step_is_compilation_and_counts_for_nothing_else(now):
    watch = clock.Clock(50.0)
    watch.start()
    now[0] += 7
    watch.stepped((), 32)
    for _ in range(4):
        with watch.waiting():
            now[0] += 0.5
        now[0] += 1.5
        watch.stepped((), 32)
    assert watch.seconds == 58
    watch.pause()
    now[0] += 1000
    with watch.evaluating():
        now[0] += 3
    assert watch.statistics() == {
        "images_per_second": 16.0,
        "waiting_for_input": 0.25,
        "compile_seconds": 7.0,
        "seconds": 50 + 7 + 8 + 3,
    }
