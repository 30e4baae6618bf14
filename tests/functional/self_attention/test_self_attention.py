"""Self-attention against loops over the equations, and the fast forms against the plain one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import actions, functional
from gequi_jax.functional._windows import resolve_window
from gequi_jax.functional.self_attention import _global, _implementations, _windowed_plan
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.groups import cyclic_group, dihedral_group, mirror_group, trivial_group
from tests import families
from tests.reference import self_attention as reference

HEADS, FEATURES = 2, 5
IMPLEMENTATIONS = ("reference", "blocked")

CASES = [
    pytest.param(group, shape, window_size, id=f"{families.name(group)}-{'x'.join(map(str, shape))}-{window_size}")
    for group, shape, window_size in [
        (trivial_group(), (5, 5), 3),
        (cyclic_group(4), (4, 5), 3),
        (cyclic_group(4), (3, 4), None),
        (families.SHUFFLED_SQUARE, (4, 3), 3),
        (dihedral_group(4), (2, 3), None),
        (dihedral_group(3), (3, 3), 5),
        (mirror_group(), (4, 3), (3, 1)),
        (families.HALF_TURN_1D, (7,), 5),
        (families.HALF_TURN_1D, (4,), None),
        (families.QUARTER_TURNS_3D, (2, 3, 2), 3),
        (families.QUARTER_TURNS_3D, (1, 2, 2), None),
    ]
]


def operands(group, shape, window_size, *, lifting=False, batch=2, dtype="float32", size=1.0, pose_rows=None, seed=1):
    """Query, key, value, the encoding of positions, and for group self-attention that of poses."""
    generator = np.random.default_rng(seed)
    poses = () if lifting else (group.order,)
    window = np.prod(
        np.broadcast_to([2 * side - 1 for side in shape] if window_size is None else window_size, len(shape))
    )
    shapes = [(batch, *shape, *poses, HEADS, FEATURES)] * 3 + [(group.order, int(window), FEATURES if lifting else 3)]
    shapes += [] if lifting else [(pose_rows or group.order, 2)]
    query, *others = (jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes)
    return [size * query, *others]


def attend(arrays, **options):
    """The function that takes these arrays, compiled."""
    function = functional.lifting_self_attention if len(arrays) == 4 else functional.group_self_attention
    return jax.jit(lambda *arrays: function(*arrays, **options))(*arrays)


def attend_with_gradients(arrays, **options):
    out, pullback = jax.vjp(lambda *arrays: attend(arrays, **options), *arrays)
    weights = jnp.asarray(np.random.default_rng(7).normal(size=out.shape), out.dtype)
    return out, *pullback(weights)


def assert_same(actual, expected, rtol=1e-5):
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        np.testing.assert_allclose(one, other, atol=rtol * np.abs(other).max() + 1e-30, rtol=0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("group", "shape", "window_size"), CASES)
def test_group_self_attention_is_the_equation(group, shape, window_size, implementation):
    arrays = operands(group, shape, window_size)
    actual = attend(arrays, group=group, window_size=window_size, scale=0.7, implementation=implementation)
    expected = reference.group_self_attention(
        *(np.asarray(array, np.float64) for array in arrays),
        group=group,
        pose_index=functional.key_pose(group),
        window_size=window_size,
        scale=0.7,
    )
    assert_same(actual, expected)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("group", "shape", "window_size"), CASES)
def test_lifting_self_attention_is_the_equation(group, shape, window_size, implementation):
    arrays = operands(group, shape, window_size, lifting=True)
    actual = attend(arrays, group=group, window_size=window_size, scale=0.7, implementation=implementation)
    expected = reference.lifting_self_attention(
        *(np.asarray(array, np.float64) for array in arrays), group=group, window_size=window_size, scale=0.7
    )
    assert_same(actual, expected)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window_size", [5, None])
def test_masked_windows_and_a_pose_index_that_depends_on_the_query(window_size, implementation):
    group, shape = cyclic_group(4), (3, 4)
    index = np.random.default_rng(0).integers(0, 6, (4, 4, 4))
    mask = actions.round_window((5, 5) if window_size else (5, 7))
    arrays = operands(group, shape, window_size, pose_rows=6)
    options = dict(group=group, pose_index=index, window_size=window_size, window_mask=mask, scale=0.7)
    expected = reference.group_self_attention(*(np.asarray(array, np.float64) for array in arrays), **options)
    assert not mask.all()
    assert_same(attend(arrays, implementation=implementation, **options), expected)


@pytest.mark.parametrize(
    ("lifting", "dropout_rate"),
    [pytest.param(False, 0.0, marks=pytest.mark.slow), (False, 0.4), pytest.param(True, 0.4, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    ("group", "shape", "window_size"),
    CASES[1:5] + [pytest.param(*case.values, id=case.id, marks=pytest.mark.slow) for case in CASES[6:9]],
)
def test_implementations_agree_in_value_and_gradient(group, shape, window_size, lifting, dropout_rate):
    arrays = operands(group, shape, window_size, lifting=lifting)
    options = dict(group=group, window_size=window_size, dropout_rate=dropout_rate, dropout_key=jax.random.key(5))
    plain, fast = (attend_with_gradients(arrays, implementation=name, **options) for name in IMPLEMENTATIONS)
    assert_same(fast, plain)


@pytest.mark.parametrize(("lifting", "dropout_rate"), [(False, 0.4), (True, 0.0)])
def test_the_form_for_accelerators_is_the_plain_form_in_value_and_gradient(monkeypatch, lifting, dropout_rate):
    monkeypatch.setattr(_windowed_plan, "LANES", 3)  # does not divide the heads of all samples
    monkeypatch.setitem(_windowed_plan.SCORES_PER_STEP, "default", 2 * 3 * 5 * 9 * 16)  # two of four rows
    group, window_size = cyclic_group(4), 3
    arrays = operands(group, (4, 5), window_size, lifting=lifting)
    options = dict(group=group, window_size=window_size, dropout_rate=dropout_rate, dropout_key=jax.random.key(5))
    plain = attend_with_gradients(arrays, implementation="reference", **options)
    with functional.assumed_platform("default"):
        assert_same(attend_with_gradients(arrays, implementation="blocked", **options), plain)
        program = jax.make_jaxpr(lambda *arrays: attend(arrays, implementation="blocked", **options))(*arrays)
    on_a_cpu = jax.make_jaxpr(lambda *arrays: attend(arrays, implementation="blocked", **options))(*arrays)
    assert "dot_general" not in str(program)
    assert "dot_general" not in str(on_a_cpu)
    assert "optimization_barrier" not in str(program)
    assert "optimization_barrier" in str(on_a_cpu)


@pytest.mark.parametrize(
    ("shape", "window_size", "expected"),
    [((3, 4), None, "reference"), ((3, 5), None, "blocked"), ((2, 3), 3, "blocked")],
)
def test_auto_is_the_plain_form_for_global_attention_with_few_scores(monkeypatch, shape, window_size, expected):
    monkeypatch.setattr(_implementations, "MOST_REFERENCE_SCORES", 2 * HEADS * 4**3 * 12**2)
    group = cyclic_group(4)
    query = jnp.zeros((2, *shape, 4, HEADS, FEATURES))
    window = resolve_window(window_size, None, group=group, spatial_shape=shape)
    encodings = (jnp.zeros((4, window.size, 3)), jnp.zeros((4, 4, 4, 2)))
    arguments = (Operands(query, query, query, *encodings), window)
    assert _implementations.choose("auto", *arguments) is _implementations.choose(expected, *arguments)


@pytest.mark.parametrize("budget", [1, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("window_size", [3, None])
def test_blocks_do_not_change_the_result(monkeypatch, window_size, budget):
    for module in (_windowed_plan, _global):
        monkeypatch.setattr(module, "SCORES_PER_STEP", dict.fromkeys(module.SCORES_PER_STEP, budget))
    group = cyclic_group(4)
    arrays = operands(group, (6, 4), window_size)
    options = dict(group=group, window_size=window_size, dropout_rate=0.3, dropout_key=jax.random.key(5))
    plain, fast = (attend_with_gradients(arrays, implementation=name, **options) for name in IMPLEMENTATIONS)
    assert_same(fast, plain)


def test_blocks_divide_the_work_and_fit():
    for rows, heads, scores in itertools.product((1, 7, 28), (1, 18, 72), (1, 2**12, 2**15, 2**18, 2**40)):
        for platform, plan in _windowed_plan.plans(rows, heads, scores).items():
            assert rows % plan.rows == 0
            in_one_step = plan.rows * plan.heads * scores
            assert plan.rows == 1 or in_one_step <= _windowed_plan.SCORES_PER_STEP[platform]
            if not plan.separate:
                assert plan.heads == min(heads, _windowed_plan.LANES)
                continue
            assert heads % plan.heads == 0
            assert plan.heads == 1 or plan.rows == rows
            assert plan.heads == 1 or in_one_step <= _windowed_plan.SCORES_PER_STEP[platform]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window_size", [3, None])
def test_dropout_keeps_the_expectation_and_needs_its_key(window_size, implementation):
    group = trivial_group()
    arrays = operands(group, (4, 4), window_size, batch=1)
    options = dict(group=group, window_size=window_size, implementation=implementation)
    exact = attend(arrays, **options)
    drop = jax.jit(
        jax.vmap(lambda key: functional.group_self_attention(*arrays, dropout_rate=0.25, dropout_key=key, **options))
    )
    samples = drop(jax.random.split(jax.random.key(3), 2000))
    error = (samples.mean(axis=0) - exact) / (samples.std(axis=0) / np.sqrt(2000))
    # Of 160 standard normal numbers, one beyond 5 has a probability of 1e-4.
    assert np.abs(error).max() < 5
    assert samples.std(axis=0).min() > 0
    with pytest.raises(ValueError, match="dropout_key"):
        functional.group_self_attention(*arrays, dropout_rate=0.25, **options)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window_size", [3, None])
def test_scores_of_ten_thousand(window_size, implementation):
    group = cyclic_group(4)
    arrays = operands(group, (4, 5), window_size, size=1e4)
    options = dict(group=group, window_size=window_size, scale=1.0)
    out, *gradients = attend_with_gradients(arrays, implementation=implementation, **options)
    expected = reference.group_self_attention(
        *(np.asarray(array, np.float64) for array in arrays), pose_index=functional.key_pose(group), **options
    )
    # float32 resolves scores of 1e4 to 1e-3, and a weight is as exact as its score.
    assert_same(out, expected, rtol=2e-3)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window_size", [3, None])
def test_ties_between_large_scores_are_exact(window_size, implementation):
    group = cyclic_group(4)
    arrays = [jnp.zeros_like(array) for array in operands(group, (4, 4), window_size)]
    query, key = jnp.full_like(arrays[0], 64.0), jnp.full_like(arrays[1], 32.0)
    value = jnp.ones_like(arrays[2])
    out = attend(
        [query, key, value, *arrays[3:]], group=group, window_size=window_size, scale=1.0, implementation=implementation
    )
    np.testing.assert_allclose(out, group.order, rtol=1e-6)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window_size", [3, None])
def test_queries_without_a_key_give_zero(window_size, implementation):
    group, shape = cyclic_group(2), (4, 4)
    window_shape = (3, 3) if window_size else (7, 7)
    # Only the key to the upper left remains: the first row and column see nothing.
    mask = (actions.window_offsets(window_shape) == -1).all(axis=-1)
    arrays = operands(group, shape, window_size)
    options = dict(group=group, window_size=window_size, window_mask=mask, implementation=implementation)
    out, *gradients = attend_with_gradients(arrays, **options)
    np.testing.assert_array_equal(out[:, 0], 0.0)
    np.testing.assert_array_equal(out[:, :, 0], 0.0)
    assert np.abs(out[:, 1:, 1:]).min() > 0
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("dtype", "rtol"), [("bfloat16", 3e-2), pytest.param("float16", 4e-3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("window_size", [3, None])
def test_narrow_types_have_a_float32_softmax(window_size, dtype, rtol, implementation):
    group = cyclic_group(4)
    narrow = operands(group, (4, 4), window_size, dtype=dtype)
    options = dict(group=group, window_size=window_size, scale=1.0)
    out, *gradients = attend_with_gradients(narrow, implementation=implementation, **options)
    assert out.dtype == dtype
    assert [gradient.dtype for gradient in gradients] == [dtype] * 5
    # The same numbers in float32: what remains is the rounding of the weights and of the result.
    exact = attend_with_gradients([array.astype("float32") for array in narrow], implementation="reference", **options)
    assert_same(out, exact[0], rtol=rtol)
    assert_same(gradients, exact[1:], rtol=4 * rtol)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("window_size", [3, None])
def test_float64_is_kept(window_size):
    group = cyclic_group(4)
    arrays = operands(group, (4, 4), window_size, dtype="float64")
    plain, fast = (
        attend_with_gradients(arrays, group=group, window_size=window_size, implementation=name)
        for name in IMPLEMENTATIONS
    )
    assert fast[0].dtype == "float64"
    assert_same(fast, plain, rtol=1e-12)


@pytest.mark.slow
def test_a_map_over_layers_is_the_layers():
    group = cyclic_group(2)
    arrays = [operands(group, (4, 4), 3, seed=seed) for seed in (1, 2)]
    stacked = [jnp.stack(pair) for pair in zip(*arrays, strict=True)]

    def gradients(*arrays):
        return jax.grad(
            lambda *arrays: jnp.square(functional.group_self_attention(*arrays, group=group, window_size=3)).sum(),
            argnums=range(5),
        )(*arrays)

    together = jax.jit(jax.vmap(gradients))(*stacked)
    assert_same(together, [jnp.stack(pair) for pair in zip(*(gradients(*one) for one in arrays), strict=True)])


def temporary_bytes(order, implementation, window_size=5, shape=(12, 12), gradients=True):
    group = cyclic_group(order)
    arrays = operands(group, shape, window_size, batch=1)

    def loss(*arrays):
        out = functional.group_self_attention(
            *arrays, group=group, window_size=window_size, implementation=implementation
        )
        return jnp.square(out).sum()

    function = jax.grad(loss, argnums=range(5)) if gradients else loss
    return jax.jit(function).lower(*arrays).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_grows_at_most_quadratically_with_the_group():
    orders = np.array([4, 8, 16])
    exponent = np.polyfit(np.log(orders), np.log([temporary_bytes(order, "blocked") for order in orders]), 1)[0]
    assert exponent <= 2.1


@pytest.mark.parametrize("window_size", [5, None])
def test_memory_is_a_fraction_of_the_plain_form(monkeypatch, window_size):
    # A map of 12 x 12 in the blocks of a cache that is as much smaller.
    monkeypatch.setitem(_windowed_plan.SCORES_PER_STEP, "cpu", 2**15)
    monkeypatch.setitem(_global.SCORES_PER_STEP, "cpu", 2**15)
    plain, fast = (temporary_bytes(8, name, window_size) for name in IMPLEMENTATIONS)
    assert 4 * fast <= plain


def test_a_mask_is_an_array_in_the_shape_of_the_window_or_flat_or_a_function_of_that_shape():
    group = mirror_group()
    arrays = operands(group, (4, 5), (5, 3))
    flat = actions.round_window((5, 3))
    masks = (flat, flat.reshape(5, 3), actions.round_window)
    options = {"group": group, "window_size": (5, 3)}
    masked, *others = (attend(arrays, window_mask=mask, **options) for mask in masks)
    assert not np.allclose(masked, attend(arrays, **options), atol=1e-3)
    for other in others:
        np.testing.assert_array_equal(other, masked)


def test_windows_must_be_preserved_by_every_element_that_mixes_axes():
    for group, window_size, shape in (
        (cyclic_group(4), (3, 1), (5, 5)),
        (cyclic_group(8), (3, 5), (5, 5)),
        (families.QUARTER_TURNS_3D, (3, 1, 1), (3, 3, 3)),
    ):
        with pytest.raises(ValueError, match=r"is not mapped to itself by element \d of .* such as \("):
            functional.group_self_attention(*operands(group, shape, window_size), group=group, window_size=window_size)
    # The third axis of this group is kept apart from the other two, and an eighth of a turn keeps squares.
    for group, window_size, shape in (
        (families.QUARTER_TURNS_3D, (1, 1, 3), (2, 2, 3)),
        (cyclic_group(8), (np.int64(3), 3), (3, 3)),
    ):
        attend(operands(group, shape, window_size, batch=1), group=group, window_size=window_size)


MISTAKES = [
    (dict(window_size=(3, 3, 3)), "window_size: expected one side, or 2 sides"),
    (dict(window_size=(3, 11)), "larger than a grid"),
    (dict(window_mask=np.ones((9, 1), bool)), "as an array of shape"),
    (dict(window_size=4), "window_size: expected an odd positive integer"),
    (dict(window_size=11), "larger than a grid"),
    (dict(window_mask=np.ones(4, bool)), "window_mask: expected 9 entries"),
    (dict(implementation="fast"), "implementation: expected one of"),
    (dict(dropout_rate=1.0), "dropout_rate: expected a number of at least 0 and below 1"),
    (dict(pose_index=np.zeros((4, 4), int)), "pose_index: expected a table of shape"),
    (dict(pose_index=np.full((4, 4, 4), 9)), "pose_index: expected a table of shape"),
]


@pytest.mark.usefixtures("unchecked_arrays")
@pytest.mark.parametrize(("options", "message"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_mistakes_are_named(options, message):
    group = cyclic_group(4)
    with pytest.raises(ValueError, match=message):
        functional.group_self_attention(*operands(group, (5, 5), 3), group=group, **{"window_size": 3, **options})


@pytest.mark.usefixtures("unchecked_arrays")
def test_shapes_that_do_not_fit_are_named():
    group = cyclic_group(4)
    query, key, value, position_encoding, pose_encoding = operands(group, (5, 5), 3)
    options = dict(group=group, window_size=3)
    with pytest.raises(ValueError, match="expected the shape of the query"):
        functional.group_self_attention(query, key[:, 1:], value, position_encoding, pose_encoding, **options)
    with pytest.raises(ValueError, match="must fit in the 5 features"):
        functional.group_self_attention(query, key, value, position_encoding, jnp.zeros((4, 3)), **options)
    with pytest.raises(ValueError, match="position_encoding: expected"):
        functional.group_self_attention(query, key, value, position_encoding[:, 1:], pose_encoding, **options)
