"""The kernel for TPUs, interpreted, against the plain form: values and gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import actions, functional
from gequi_jax.functional._windows import resolve_window
from gequi_jax.functional.self_attention import _pallas_plan
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._pallas_layout import LANES, Layout
from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group, mirror_group, trivial_group
from tests import families
from tests.functional.self_attention.test_self_attention import (
    attend,
    attend_with_gradients,
    operands,
)
from tests.reference import self_attention as reference

ROTATIONS_OF_THE_CUBE = FiniteGroup.generate(
    [[[0, -1, 0], [1, 0, 0], [0, 0, 1]], [[1, 0, 0], [0, 0, -1], [0, 1, 0]]], name="rotations of the cube"
)


@dataclasses.dataclass(frozen=True)
class Case:
    group: FiniteGroup
    shape: tuple[int, ...]
    window_size: int | tuple[int, ...]
    round: bool = False
    lifting: bool = False
    dropout_rate: float = 0.0

    def __str__(self):
        shape = "x".join(map(str, self.shape))
        return f"{'lifting' if self.lifting else 'group'}-{families.name(self.group)}-{shape}-{self.window_size}"

    def arrays(self, **options):
        return operands(self.group, self.shape, self.window_size, lifting=self.lifting, **options)

    def options(self):
        return dict(
            group=self.group,
            window_size=self.window_size,
            window_mask=actions.round_window if self.round else None,
            dropout_rate=self.dropout_rate,
            dropout_key=jax.random.key(5),
        )


# One case is enough for the default run: an interpreted kernel takes seconds to compile.
QUICK = Case(cyclic_group(4), (3, 4), 3, round=True, dropout_rate=0.4)
SLOW = [
    Case(trivial_group(), (5, 5), 3),
    Case(trivial_group(), (5, 5), 5, round=True),
    Case(trivial_group(), (4, 4), 7),
    Case(cyclic_group(4), (4, 5), 5, round=True, dropout_rate=0.4),
    Case(cyclic_group(4), (4, 4), 7),
    Case(dihedral_group(4), (3, 2), 3, round=True),
    Case(dihedral_group(4), (3, 4), 5),
    Case(dihedral_group(4), (4, 4), 7),
    Case(cyclic_group(8), (3, 4), 3, dropout_rate=0.2),
    Case(cyclic_group(8), (3, 3), 5),
    Case(cyclic_group(8), (4, 4), 7, round=True),
    Case(ROTATIONS_OF_THE_CUBE, (2, 2, 2), 3, round=True),
    Case(families.HALF_TURN_1D, (9,), 5),
    Case(mirror_group(), (4, 3), (5, 3)),
    Case(trivial_group(), (4, 4), 7, lifting=True),
    Case(dihedral_group(4), (4, 5), 5, round=True, lifting=True, dropout_rate=0.4),
    Case(ROTATIONS_OF_THE_CUBE, (2, 3, 2), 3, lifting=True),
    Case(ROTATIONS_OF_THE_CUBE, (3, 3, 3), 5, lifting=True),
    Case(ROTATIONS_OF_THE_CUBE, (4, 4, 4), 7, round=True, lifting=True),
]
# One case of every group.
NARROW = [SLOW[1], SLOW[3], SLOW[6], SLOW[9], SLOW[11], dataclasses.replace(SLOW[15], dropout_rate=0.0)]


def assert_same(actual, expected, rtol=1e-5):
    """Equal up to a fraction of the largest entry, or of 1 where exact gradients cancel to less."""
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        np.testing.assert_allclose(one, other, atol=rtol * max(1.0, np.abs(other).max()), rtol=0)


def both(case, **options):
    arrays = case.arrays(batch=1)
    return [attend_with_gradients(arrays, implementation=name, **case.options()) for name in ("pallas", "reference")]


@pytest.mark.parametrize("case", [QUICK, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)], ids=str)
def test_the_kernel_is_the_plain_form_in_value_and_gradient(case):
    fast, plain = both(case)
    assert_same(fast, plain)


@pytest.mark.slow
@pytest.mark.parametrize("case", NARROW, ids=str)
def test_bfloat16(case):
    narrow = case.arrays(batch=1, dtype="bfloat16")
    fast = attend_with_gradients(narrow, implementation="pallas", **case.options())
    assert [x.dtype for x in fast] == ["bfloat16"] * len(fast)
    exact = attend_with_gradients(
        [array.astype("float32") for array in narrow], implementation="reference", **case.options()
    )
    assert_same(fast, exact, rtol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("memory", [_pallas_plan.MEMORY_OF_BLOCKS, 1])
def test_blocks_and_tiles_do_not_change_the_result(monkeypatch, memory):
    monkeypatch.setattr(_pallas_plan, "MEMORY_OF_BLOCKS", memory)
    case = Case(cyclic_group(2), (40, 6), 5, dropout_rate=0.3)
    arrays = case.arrays(batch=1)
    layout = _pallas_plan.plan_layout(*kernel_operands(case, arrays))
    assert (layout.blocks, layout.block) == ((1, 3 * LANES) if memory > 1 else (3, LANES))
    fast, plain = both(case)
    assert_same(fast, plain)


@pytest.mark.slow
def test_passes_over_the_output_poses_do_not_change_the_result(monkeypatch):
    scores = 4 * 8 * LANES * 6 * 6
    monkeypatch.setattr(_pallas_plan, "MEMORY_OF_POSE_SCORES", 2 * scores)
    assert _pallas_plan.outputs_per_pass(6, 6, 6, 8) == 2
    fast, plain = both(Case(dihedral_group(3), (3, 3), 3))
    assert_same(fast, plain)


def kernel_operands(case, arrays):
    window = resolve_window(case.window_size, None, group=case.group, spatial_shape=case.shape)
    pose = jnp.zeros((case.group.order,) * 3 + (2,))
    return Operands(*arrays[:4], pose), window


def test_the_kernel_is_refused_when_lowered_for_a_gpu():
    case = Case(cyclic_group(2), (3, 3), 3)
    program = jax.jit(lambda *arrays: attend(arrays, implementation="pallas", **case.options()))
    with pytest.raises(ValueError, match="a kernel for TPUs; pass another"):
        program.trace(*case.arrays()).lower(lowering_platforms=("cuda",))


@pytest.mark.slow
def test_ties_and_large_scores_are_exact():
    group = cyclic_group(4)
    arrays = [jnp.zeros_like(array) for array in operands(group, (4, 4), 3, batch=1)]
    query, key, value = jnp.full_like(arrays[0], 64.0), jnp.full_like(arrays[1], 32.0), jnp.ones_like(arrays[2])
    options = dict(group=group, window_size=3, scale=1.0, implementation="pallas")
    out, *gradients = attend_with_gradients([query, key, value, *arrays[3:]], **options)
    np.testing.assert_allclose(out, group.order, rtol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.slow
def test_scores_of_ten_thousand():
    group = cyclic_group(4)
    arrays = operands(group, (4, 5), 3, size=1e4)
    options = dict(group=group, window_size=3, scale=1.0)
    out, *gradients = attend_with_gradients(arrays, implementation="pallas", **options)
    expected = reference.group_self_attention(
        *(np.asarray(array, np.float64) for array in arrays), pose_index=functional.key_pose(group), **options
    )
    # float32 resolves the largest scores, 5e4, to 4e-3, and a weight is as exact as its score.
    assert_same(out, expected, rtol=4e-3)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_queries_without_a_key_give_zero():
    mask = (actions.window_offsets((3, 3)) == -1).all(axis=-1)
    group = cyclic_group(2)
    arrays = operands(group, (4, 4), 3)
    options = dict(group=group, window_size=3, window_mask=mask)
    fast, plain = (attend_with_gradients(arrays, implementation=name, **options) for name in ("pallas", "reference"))
    np.testing.assert_array_equal(fast[0][:, 0], 0.0)
    assert all(np.isfinite(array).all() for array in fast)
    assert_same(fast, plain)


def test_no_offset_of_the_window():
    group = cyclic_group(2)
    arrays = operands(group, (3, 3), 3)
    options = dict(group=group, window_size=3, window_mask=np.zeros(9, bool), implementation="pallas")
    for array in attend_with_gradients(arrays, **options):
        np.testing.assert_array_equal(array, 0.0)


@pytest.mark.slow
def test_a_map_over_layers_is_the_layers():
    case = Case(cyclic_group(2), (3, 4), 3)
    layers = [case.arrays(seed=seed) for seed in (1, 2)]
    stacked = [jnp.stack(pair) for pair in zip(*layers, strict=True)]

    def attend_one(*arrays):
        return functional.group_self_attention(*arrays, group=case.group, window_size=3, implementation="pallas")

    together = jax.jit(jax.vmap(attend_one))(*stacked)
    separate = [attend(arrays, implementation="pallas", **case.options()) for arrays in layers]
    assert_same(together, jnp.stack(separate))


@pytest.mark.parametrize(("shape", "window"), [((7,), (5,)), ((4, 5), (3, 7)), ((2, 3, 4), (3, 3, 5))])
def test_a_key_is_at_the_distance_of_its_offset_and_exists_on_the_grid_only(shape, window):
    layout = Layout(shape, resolve_window(window, None, group=trivial_group(len(shape)), spatial_shape=shape), LANES, 8)
    position = 1.0 + jnp.arange(float(np.prod(shape))).reshape(1, *shape, 1, 1, 1)
    queries, keys = np.asarray(layout.queries(position))[0, 0, 0], np.asarray(layout.keys(position))[0, 0, 0]
    offsets, distances = layout.offsets()
    steps = actions.window_offsets(window).astype(int)
    for index in np.ndindex(*shape):
        place = int(np.flatnonzero(queries == float(position[(0, *index, 0, 0, 0)]))[0])
        for offset, distance in zip(offsets, distances, strict=True):
            target = index + steps[offset]
            exists = (target >= 0).all() and (target < shape).all()
            expected = float(position[(0, *target, 0, 0, 0)]) if exists else 0.0
            assert keys[place + distance] == expected
            assert layout.outside()[0, place + distance] == (0.0 if exists else -np.inf)
