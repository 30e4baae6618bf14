"""Attention of every frame by itself against loops, its form for tokens, its tiles, and its errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax import functional
from gequi_jax.actions import round_window, window_offsets
from gequi_jax.functional._windows import resolve_window
from gequi_jax.functional.self_attention._frame_windows import window_tiles
from gequi_jax.groups import cyclic_group, mirror_group, trivial_group
from tests import families
from tests.reference import frame_attention as reference

GROUP = cyclic_group(4)


def arrays(group, spatial_shape, window_size, dtype="float64", heads=2, features=2):
    random = np.random.default_rng(0)
    query, key, value = random.normal(size=(3, 2, *spatial_shape, group.order, heads, features))
    window = np.broadcast_to(
        [2 * side - 1 for side in spatial_shape] if window_size is None else window_size, group.dim
    )
    bias = random.normal(size=(group.order, np.prod(window), heads))
    return [jnp.asarray(x, dtype) for x in (query, key, value, bias)]


CASES = [
    (GROUP, (3, 3), None, None),
    (GROUP, (3, 3), None, round_window),
    (GROUP, (5, 5), 3, None),
    (GROUP, (9, 9), 3, round_window),
    (mirror_group(), (4, 9), (3, 5), None),
    (families.HALF_TURN_1D, (14,), 3, None),
    (families.QUARTER_TURNS_3D, (2, 3, 3), 3, None),
]


@pytest.mark.parametrize(("group", "spatial_shape", "window_size", "window_mask"), CASES)
@pytest.mark.usefixtures("x64")
def test_it_agrees_with_the_loop(group, spatial_shape, window_size, window_mask):
    operands = arrays(group, spatial_shape, window_size)
    options = {"group": group, "window_size": window_size, "scale": 0.7}
    got = functional.frame_self_attention(*operands, **options, window_mask=window_mask)
    shape = (
        tuple(2 * side - 1 for side in spatial_shape)
        if window_size is None
        else np.broadcast_to(window_size, group.dim)
    )
    mask = None if window_mask is None else functional.resolve_window_mask(window_mask, shape)
    expected = reference.frame_self_attention(*map(np.asarray, operands), **options, window_mask=mask)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("spatial_shape", "window_size"), [((3, 3), None), ((9, 9), 3)])
def test_the_kernel_of_jax_computes_the_same_as_float64(spatial_shape, window_size):
    options = {"group": GROUP, "window_size": window_size}
    narrow = functional.frame_self_attention(*arrays(GROUP, spatial_shape, window_size, "float32"), **options)
    assert narrow.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = functional.frame_self_attention(*arrays(GROUP, spatial_shape, window_size), **options)
    np.testing.assert_allclose(narrow, wide, atol=1e-6)


@pytest.mark.parametrize(
    ("group", "spatial_shape", "window_size", "window_mask"), [case for case in CASES if case[2] is not None]
)
@pytest.mark.usefixtures("x64")
def test_gradients_in_windows_by_shifts_are_those_in_tiles(group, spatial_shape, window_size, window_mask):
    operands = arrays(group, spatial_shape, window_size)
    options = {"group": group, "window_size": window_size, "window_mask": window_mask, "scale": 0.7}

    @jax.jit
    def gradients(*operands):
        def loss(implementation):
            function = functools.partial(functional.frame_self_attention, implementation=implementation, **options)
            return lambda *operands: jnp.sin(1.3 * function(*operands)).sum()

        return [jax.grad(loss(implementation), argnums=(0, 1, 2, 3))(*operands) for implementation in (None, "xla")]

    for by_shifts, in_tiles in zip(*gradients(*operands), strict=True):
        assert float(jnp.abs(by_shifts).max()) > 1e-3
        np.testing.assert_allclose(by_shifts, in_tiles, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_windows_by_shifts_sum_in_float32(dtype):
    operands = [x.astype(dtype) for x in arrays(GROUP, (9, 9), 3, "float32")]
    got = functional.frame_self_attention(*operands, group=GROUP, window_size=3)
    assert got.dtype == dtype
    wide = functional.frame_self_attention(*(x.astype("float32") for x in operands), group=GROUP, window_size=3)
    np.testing.assert_allclose(got.astype("float32"), wide, atol=0 if dtype == "float32" else 1e-2)


@pytest.mark.parametrize("spatial_shape", [(12, 9), (5, 4), (28, 28)])
def test_tiles_hold_every_pair_within_the_window_once(spatial_shape):
    window = resolve_window(5, round_window, group=trivial_group(), spatial_shape=spatial_shape)
    tiles = window_tiles(spatial_shape, window)
    size = np.prod(spatial_shape)
    # The index of each position plus 1, so that 0 is beyond the grid.
    index = np.arange(1, size + 1, dtype=np.float32).reshape(1, *spatial_shape, 1, 1)
    queries, keys = (np.asarray(part(index)[..., 0, 0], int) for part in (tiles.split, tiles.split_with_halo))
    np.testing.assert_array_equal(tiles.join(tiles.split(index), 1), index)
    tile, query, key = np.nonzero(tiles.valid)
    pairs = np.stack([queries[tile, query], keys[tile, key], tiles.offsets[query, key]], axis=1)
    pairs = pairs[pairs[:, 0] > 0]
    positions = np.stack(np.unravel_index(pairs[:, :2] - 1, spatial_shape), axis=-1)
    np.testing.assert_array_equal(window_offsets((5, 5))[pairs[:, 2]], positions[:, 1] - positions[:, 0])
    assert len(np.unique(pairs[:, :2], axis=0)) == len(pairs)
    difference = window_offsets(spatial_shape)[None] - window_offsets(spatial_shape)[:, None]
    inside = (np.abs(difference) <= 2).all(axis=-1) & ((difference / 2.25) ** 2 <= 1).any(axis=-1)
    inside &= ((difference / 2.25) ** 2).sum(axis=-1) <= 1
    assert len(pairs) == inside.sum()


def test_tokens_attend_as_the_positions_of_a_grid():
    query, key, value, bias = arrays(GROUP, (3, 3), None, "float32")
    flat = [x.reshape(2, 9, *x.shape[3:]) for x in (query, key, value)]
    expected = functional.frame_self_attention(query, key, value, group=GROUP)
    np.testing.assert_allclose(functional.frame_attention(*flat), expected.reshape(flat[0].shape), atol=1e-6)
    pairs = jnp.moveaxis(bias[:, :5], -1, 1)[:, :, :, None] * jnp.ones((1, 1, 1, 9))
    crossed = functional.frame_attention(flat[0][:, :5], *flat[1:], pairs)
    assert crossed.shape == (2, 5, 4, 2, 2)
    # A bias that depends on the query alone does not change the softmax.
    np.testing.assert_allclose(crossed, functional.frame_attention(flat[0][:, :5], *flat[1:]), atol=1e-6)


@pytest.mark.parametrize("group", [families.SHUFFLED_SQUARE, families.QUARTER_TURNS_3D], ids=families.name)
@pytest.mark.usefixtures("x64")
def test_rotary_encodings_agree_with_the_loop_and_know_relative_positions_alone(group):
    random = np.random.default_rng(0)
    spatial_shape = (3, 4, 2)[: group.dim]
    x = random.normal(size=(2, *spatial_shape, group.order, 2, 4))
    frequencies = random.normal(size=(2, 2, group.dim))
    positions = window_offsets(spatial_shape).reshape(*spatial_shape, -1)
    encode = functools.partial(functional.rotary_encoding, frequencies=jnp.asarray(frequencies), group=group)
    got = encode(jnp.asarray(x), positions=positions)
    np.testing.assert_allclose(got, reference.rotary_encoding(x, frequencies, positions, group=group), atol=1e-12)
    moved = encode(jnp.asarray(x), positions=positions + random.normal(size=group.dim))
    scores, shifted = (jnp.einsum("nigkd,njgkd->ngkij", *[y.reshape(2, -1, *y.shape[-3:])] * 2) for y in (got, moved))
    assert float(jnp.abs(moved - got).max()) > 0.1
    np.testing.assert_allclose(shifted, scores, atol=1e-11)


@pytest.mark.usefixtures("x64")
def test_rotary_encodings_of_more_heads_repeat_the_frequencies_and_have_the_derivative_of_the_angles():
    random = np.random.default_rng(0)
    x, frequencies = jnp.asarray(random.normal(size=(2, 3, 3, 4, 4, 4))), jnp.asarray(random.normal(size=(2, 2, 2)))
    positions = window_offsets((3, 3)).reshape(3, 3, -1)
    encode = functools.partial(functional.rotary_encoding, positions=positions, group=GROUP)
    got, tangent = jax.jvp(lambda frequencies: encode(x, frequencies), (frequencies,), (jnp.ones_like(frequencies),))
    halves = [encode(part, frequencies) for part in jnp.split(x, 2, axis=-2)]
    np.testing.assert_allclose(got, jnp.concatenate(halves, axis=-2), atol=1e-14)
    step = 1e-6
    difference = (encode(x, frequencies + step) - encode(x, frequencies - step)) / (2 * step)
    assert float(jnp.abs(tangent).max()) > 0.1
    np.testing.assert_allclose(tangent, difference, atol=1e-8)


@pytest.mark.parametrize(
    ("group", "spatial_shape", "window_size"),
    [pytest.param(*case[:3], marks=() if index in (0, 2) else pytest.mark.slow) for index, case in enumerate(CASES)],
)
@pytest.mark.usefixtures("x64")
def test_frequencies_turn_queries_and_keys_and_have_the_same_gradients(group, spatial_shape, window_size):
    query, key, value, bias = arrays(group, spatial_shape, window_size, heads=4)
    frequencies = jnp.asarray(np.random.default_rng(1).normal(size=(2, 1, group.dim)))
    positions = window_offsets(spatial_shape).reshape(*spatial_shape, -1)
    attend = functools.partial(functional.frame_self_attention, group=group, window_size=window_size)

    def turned_before(query, key, value, bias, frequencies):
        turned = (functional.rotary_encoding(x, frequencies, positions, group=group) for x in (query, key))
        return attend(*turned, value, bias, implementation="xla")

    def turned_inside(*operands):
        return attend(*operands[:4], frequencies=operands[4])

    operands = (query, key, value, bias, frequencies)
    expected, transpose = jax.vjp(turned_before, *operands)
    got, transpose_inside = jax.vjp(turned_inside, *operands)
    np.testing.assert_allclose(got, expected, atol=1e-13)
    assert float(jnp.abs(expected - attend(*operands[:4])).max()) > 0.1
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-12), transpose_inside(got), transpose(got))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequencies": jnp.zeros((2, 2, 2))}, r"frequencies: expected \[heads, features / 2, dim\]"),
        ({"window_size": 2}, "window_size: expected an odd"),
        ({"window_size": 3}, r"position_bias: expected \[group, window, heads\] = \(4, 9, 2\)"),
        ({"window_mask": np.arange(25) != 12}, "window_mask: expected a mask that contains the centre"),
        ({"dropout_rate": 0.5}, "dropout_key: expected a jax.random key"),
        ({"group": cyclic_group(8)}, "expected a group axis of size 8"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        functional.frame_self_attention(*arrays(GROUP, (3, 3), None, "float32"), **{"group": GROUP, **change})


def test_bad_shapes():
    query, key, value, _ = arrays(GROUP, (3, 3), None, "float32")
    with pytest.raises(ValueError, match="key, value: expected one shape"):
        functional.frame_self_attention(query, key, value[..., :1], group=GROUP)
    flat = [x.reshape(2, 9, *x.shape[3:]) for x in (query, key, value)]
    with pytest.raises(ValueError, match=r"bias: expected \[group, heads, queries, keys\] = \(4, 2, 9, 9\)"):
        functional.frame_attention(*flat, jnp.zeros((4, 2, 9, 8)))
    with pytest.raises(ValueError, match="frequencies: expected"):
        functional.rotary_encoding(query, jnp.zeros((2, 2, 2)), np.zeros((3, 3, 2)), group=GROUP)
    with pytest.raises(ValueError, match=r"positions: expected \(3, 3, 2\)"):
        functional.rotary_encoding(query, jnp.zeros((2, 1, 2)), np.zeros((9, 2)), group=GROUP)
