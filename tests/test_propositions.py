"""What Romero & Cordonnier (2021) state of self-attention, one test for each statement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional
from gequi_jax.actions import act_on_feature_map, act_on_grid, window_offsets
from gequi_jax.groups import FiniteGroup, cyclic_group, dihedral_group, mirror_group, trivial_group
from gequi_jax.nn import FourierEncoding, GroupSelfAttention, LiftingSelfAttention
from gequi_jax.testing import equivariance_errors


class NoEncoding(nnx.Module):
    """rho = 0: attention to content alone."""

    def __init__(self, features, *, dim, **_):
        self.features = features

    def __call__(self, positions):
        return jnp.zeros((*positions.shape[:-1], self.features), positions.dtype)


def lifting(group=None, **options):
    options = {"num_heads": 2, "qkv_features": 12, **options}
    group = trivial_group() if group is None else group
    layer = LiftingSelfAttention(3, 4, group=group, rngs=nnx.Rngs(0), **options)
    return nnx.jit(layer)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def relative(difference, y):
    return float(jnp.linalg.norm(difference) / jnp.linalg.norm(y))


def permuted(x, order):
    return x.reshape(x.shape[0], -1, *x.shape[3:])[:, order].reshape(x.shape)


def permutation_error(fn, x):
    order = jax.random.permutation(jax.random.key(9), x.shape[1] * x.shape[2])
    y = fn(x)
    return relative(fn(permuted(x, order)) - permuted(y, order), y)


def translation_error(fn, x, steps=(1, 2), margin=3):
    """On the positions whose neighbourhoods stay inside the image, before and after."""
    inner = (slice(None), slice(margin, -margin), slice(margin, -margin))
    y = fn(x)
    moved = jnp.roll(y, steps, axis=(1, 2))[inner]
    return relative(fn(jnp.roll(x, steps, axis=(1, 2)))[inner] - moved, moved)


def test_proposition_4_1_without_encoding_attention_commutes_with_permutations():
    x = normal(1, 2, 5, 6, 3)
    assert permutation_error(lifting(position_encoding=NoEncoding), x) < 1e-6


def test_proposition_4_2_an_absolute_encoding_commutes_with_neither():
    x = normal(1, 2, 10, 10, 3)
    absolute = normal(2, 1, 10, 10, 3)
    globally = lifting(position_encoding=NoEncoding)
    locally = lifting(position_encoding=NoEncoding, window_size=3)
    assert permutation_error(lambda x: globally(x + absolute), x) > 0.05
    assert translation_error(lambda x: locally(x + absolute), x) > 0.05
    # The controls: the same layers without it.
    assert permutation_error(globally, x) < 1e-6
    assert translation_error(locally, x) < 1e-6


@pytest.mark.parametrize("position_encoding", [None, FourierEncoding])
def test_proposition_4_3_a_relative_encoding_commutes_with_translations(position_encoding):
    x = normal(1, 2, 10, 10, 3)
    options = {} if position_encoding is None else {"position_encoding": position_encoding}
    layer = lifting(window_size=3, **options)
    assert translation_error(layer, x) < 1e-6
    assert permutation_error(layer, x) > 0.05


GROUPS = [mirror_group(), cyclic_group(4), dihedral_group(2), dihedral_group(4)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize("window_size", [3, None])
def test_proposition_5_1_lifting_self_attention_is_equivariant(group, window_size):
    layer = lifting(group, window_size=window_size)
    assert equivariance_errors(layer, normal(1, 2, 6, 6, 3), group=group).max() < 1e-5


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize("window_size", [3, None])
def test_proposition_5_2_group_self_attention_is_equivariant(group, window_size):
    layer = GroupSelfAttention(
        3, 4, group=group, num_heads=2, qkv_features=12, window_size=window_size, rngs=nnx.Rngs(0)
    )
    x = normal(1, 2, 6, 6, group.order, 3)
    assert equivariance_errors(nnx.jit(layer), x, group=group, input="feature_map").max() < 1e-5


def test_propositions_5_1_and_5_2_with_translations():
    group, steps = dihedral_group(4), (1, 2)
    first = lifting(group, window_size=3)
    second = nnx.jit(
        GroupSelfAttention(4, 4, group=group, num_heads=2, qkv_features=12, window_size=3, rngs=nnx.Rngs(1))
    )
    x = normal(1, 1, 12, 12, 3)
    y = second(first(x))
    inner = (slice(None), slice(4, -4), slice(4, -4))
    for element in range(group.order):
        moved = jnp.roll(act_on_grid(element, x, group=group), steps, axis=(1, 2))
        expected = jnp.roll(act_on_feature_map(element, y, group=group), steps, axis=(1, 2))[inner]
        assert relative(second(first(moved))[inner] - expected, expected) < 1e-5


SQUARE = dihedral_group(4)
ROW_FLIP = FiniteGroup([np.eye(2), np.diag([-1.0, 1.0])], name="row flip")


@pytest.mark.parametrize(
    "group", [trivial_group(), mirror_group(), ROW_FLIP, cyclic_group(2), cyclic_group(4), dihedral_group(2)]
)
def test_definition_4_3_attention_is_equivariant_to_its_group_and_to_no_larger_one(group):
    # An invariant made of both layers, asked about every symmetry of the square: it knows those of its group alone.
    first = lifting(group, window_size=3, position_encoding=FourierEncoding)
    second = GroupSelfAttention(
        4,
        4,
        group=group,
        num_heads=2,
        qkv_features=12,
        window_size=3,
        position_encoding=FourierEncoding,
        rngs=nnx.Rngs(1),
    )
    second = nnx.jit(second)

    def invariant(x):
        return functional.group_pool(second(first(x))).mean(axis=(1, 2))

    errors = equivariance_errors(invariant, normal(1, 4, 6, 6, 3), group=SQUARE, output="invariant")
    own = [any(np.array_equal(matrix, other) for other in group.matrices) for matrix in SQUARE.matrices]
    assert sum(own) == group.order
    assert errors[own].max() < 1e-5
    assert errors[np.logical_not(own)].min() > 1e-3


class Paraboloid(nnx.Module):
    """rho(x) = (x, |x|^2): a query (2 b c, -b) scores -b |x - c|^2 up to a constant, highest at x = c."""

    def __init__(self, features, *, dim, **_):
        self.features = dim + 1

    def __call__(self, positions):
        return jnp.concatenate([positions, (positions**2).sum(axis=-1, keepdims=True)], axis=-1)


def attention_of_a_convolution(kernel, group, sharpness=60.0):
    """Group self-attention with one head for each offset and pose of a group convolution kernel.

    Every head looks at one offset and pose, seen from the output, whatever the content; its value is the input, and the
    projection of the heads is the kernel. The sum over the query poses makes |H| copies.
    """
    side, order, into, out = kernel.shape[0], group.order, kernel.shape[-2], kernel.shape[-1]
    features = 3 * order  # 2 |H| for positions, |H| for poses
    offsets = window_offsets((side, side)) / (side // 2)
    heads = len(offsets) * order
    layer = GroupSelfAttention(
        into,
        out,
        group=group,
        num_heads=heads,
        qkv_features=heads * features,
        window_size=side,
        position_encoding=Paraboloid,
        rngs=nnx.Rngs(0),
    )
    query = np.zeros((len(offsets), order, features))
    query[..., :2] = 2 * sharpness * offsets[:, None]
    query[..., 2] = -sharpness
    query[..., features - order :] = sharpness * np.eye(order)
    value = np.zeros((into, heads, features))
    value[np.arange(into), :, np.arange(into)] = 1.0
    project = np.zeros((heads, features, out))
    project[:, :into] = np.asarray(kernel).reshape(heads, into, out) / order
    for param, array in (
        (layer.query.kernel, np.zeros(layer.query.kernel.shape)),
        (layer.query.bias, query.reshape(heads, features) * np.sqrt(features)),
        (layer.key.kernel, np.zeros(layer.key.kernel.shape)),
        (layer.value.kernel, value),
        (layer.out.kernel, project),
        (layer.pose_encoding, np.eye(order)),
    ):
        param.set_value(jnp.asarray(array, jnp.float32))
    return layer


@pytest.mark.parametrize(
    "group", [cyclic_group(4), pytest.param(dihedral_group(4), marks=pytest.mark.slow)], ids=lambda group: group.name
)
def test_section_5_3_group_self_attention_generalises_the_group_convolution(group):
    kernel = normal(3, 3, 3, group.order, 2, 3)
    x = normal(4, 2, 6, 6, group.order, 2)
    expected = functional.group_conv(x, kernel, group=group)
    layer = attention_of_a_convolution(kernel, group)
    # Attention leaves out positions beyond the border, where a convolution reads zeros: give it the zeros.
    y = nnx.jit(layer)(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0))))[:, 1:-1, 1:-1]
    assert relative(y - expected, expected) < 1e-4
    assert float(jnp.abs(y - expected).max() / jnp.abs(expected).max()) < 1e-4


def test_section_5_3_needs_the_pose_seen_from_the_output():
    # With a^-1 b the sum over the query poses mixes what the convolution keeps apart.
    group = cyclic_group(4)
    kernel = normal(3, 3, 3, group.order, 2, 3)
    x = normal(4, 2, 6, 6, group.order, 2)
    layer = attention_of_a_convolution(kernel, group)
    layer.pose_index = functional.relative_pose
    expected = functional.group_conv(x, kernel, group=group)[:, 1:-1, 1:-1]
    assert relative(layer(x)[:, 1:-1, 1:-1] - expected, expected) > 0.1
