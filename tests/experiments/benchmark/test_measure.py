import dataclasses

import jax.numpy as jnp
import pytest

from experiments.benchmark.cases import Case
from experiments.benchmark.measure import measure, time_in_turn
from experiments.benchmark.measurement import Spread, as_plain, from_plain
from experiments.benchmark.programs import STEP, CompiledProgram, JaxContender, Program


@dataclasses.dataclass
class Scripted:
    """A contender whose runs take the given seconds, the first of which is not counted."""

    seconds: list
    temporary_bytes: int | None = 100
    compile_seconds: float | None = 1.0
    closed: int = 0

    def prepare(self, passes):
        self.left = list(self.seconds)
        return self

    def run(self):
        return self.left.pop(0)

    def close(self):
        self.closed += 1


def test_times_and_ratios_carry_their_spread():
    ours, theirs = Scripted([9.0, 1.0, 2.0, 4.0]), Scripted([9.0, 3.0, 2.0, 4.0], temporary_bytes=300)
    first, second = measure(
        Case("section", {"n": 1}, ("n",), {"ours": ours, "theirs": theirs}, passes=("forward",)),
        repeats=3,
        memory_limit=1e3,
    )
    assert first.seconds == Spread(2.0, 1.0, 4.0)
    assert first.time_ratio == Spread(1.0, 1.0, 1.0)
    assert second.time_ratio == Spread(1.0, 1.0, 3.0)  # repeat by repeat
    assert second.memory_ratio == 3
    assert (ours.closed, theirs.closed) == (1, 1)
    assert from_plain(as_plain(second)) == second


def test_programs_run_in_turn_and_short_ones_several_times_for_one_timing():
    order = []

    def runner(name, seconds):
        def run():
            order.append(name)
            return seconds

        return run

    timings = time_in_turn({"short": runner("short", 0.04), "long": runner("long", 1.0)}, repeats=2)
    assert order == ["short", "long", *["short", "short", "short", "long"] * 2]
    assert timings == {"short": [pytest.approx(0.04)] * 2, "long": [1.0] * 2}


def test_what_needs_too_much_memory_is_compiled_and_not_run():
    def make():
        return Program(lambda params, x: jnp.sort(x * params)[::-1].cumsum(), (jnp.float32(1.0), jnp.arange(4096.0)))

    forward, _ = measure(Case("section", {"n": 1}, ("n",), {"ours": JaxContender(make)}), repeats=1, memory_limit=-1)
    assert forward.seconds is None
    assert forward.time_ratio is None
    assert forward.compile_seconds > 0


def test_a_process_without_memory_figures_has_no_memory_ratio():
    ours, theirs = Scripted([1.0] * 2), Scripted([1.0] * 2, temporary_bytes=None, compile_seconds=None)
    _, second = measure(
        Case("section", {}, (), {"ours": ours, "PyTorch": theirs}, passes=(STEP,)), repeats=1, memory_limit=1e3
    )
    assert second.memory_ratio is None
    assert second.seconds is not None


def test_a_step_feeds_its_result_back():
    program = CompiledProgram(lambda state, x: (state + x, state), (jnp.float32(0), jnp.float32(2)), feeds_back=True)
    assert all(program.run() > 0 for _ in range(3))
    assert program._arguments[0] == 6
