"""Properties that hold for every finite group: of actions, pose indices, and every layer with its gradient."""

from functools import partial

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from gequi_jax import functional, nn
from gequi_jax.actions import act_on_feature_map, act_on_grid, grid_preserving_elements, round_window
from gequi_jax.groups import FiniteGroup
from tests import random_groups
from tests.equivariance_table import LAYERS, Row
from tests.layer_property import Case, Tried, broken_gradient, check
from tests.random_groups import SETTINGS

INVARIANT_POSES = (
    functional.key_pose,
    functional.query_and_key_pose,
    functional.relative_pose,
    functional.ge_vit_pose,
)


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


# Actions and pose indices: NumPy alone.


@pytest.mark.parametrize("examples", [100, slow(2_000)])
def test_actions_compose_on_grids_and_feature_maps_of_any_shape(examples):
    """L_g L_h = L_gh and L_e = 1, entry by entry, also where an element exchanges sides of different length."""

    @settings(SETTINGS, max_examples=examples)
    @given(group=random_groups.groups(max_order=48), data=st.data())
    def holds(group, data):
        exact = grid_preserving_elements(group)
        g, h = (data.draw(st.sampled_from(exact)) for _ in range(2))
        spatial_shape = tuple(data.draw(st.integers(1, 5)) for _ in range(group.dim))
        for act, poses in ((act_on_grid, ()), (act_on_feature_map, (group.order,))):
            x = np.arange(2.0 * np.prod((*spatial_shape, *poses))).reshape(2, *spatial_shape, *poses, 1)
            twice = act(g, act(h, x, group=group), group=group)
            np.testing.assert_array_equal(twice, act(group.cayley_table[g, h], x, group=group))
            np.testing.assert_array_equal(act(group.identity, x, group=group), x)

    holds()


@pytest.mark.parametrize("examples", [100, slow(2_000)])
@pytest.mark.parametrize("pose_index", INVARIANT_POSES, ids=lambda pose_index: pose_index.__name__)
def test_pose_indices_are_invariant_for_random_groups(pose_index, examples):
    @settings(SETTINGS, max_examples=examples)
    @given(group=random_groups.groups(max_order=24))
    def holds(group):
        assert functional.is_invariant(pose_index, group)

    holds()


def test_the_search_finds_a_group_that_breaks_the_printed_pose_index():
    group = find(
        random_groups.groups(max_order=24),
        lambda group: not functional.is_invariant(functional.printed_pose, group),
        settings=SETTINGS,
    )
    assert group.order == 2  # the smallest there is


# Layers and gradients: each example is a program to compile.


def sides(row: Row, group: FiniteGroup) -> tuple[int, ...]:
    """Sides that a row of the table takes; volumes are kept small."""
    choices = (4,) if "even" in row.name and group.dim == 3 else (3, 4) if group.dim == 3 else (4, 5, 6, 7)
    parities = {side % 2 for side in row.sizes}
    return tuple(side for side in choices if side % 2 in parities)


@st.composite
def cases(draw, rows, *, max_order: int, max_positions: int, dims=(1, 2, 3)) -> Case:
    """A row, a group, a shape that its elements preserve, and a type; at most so many positions times poses."""
    row = draw(rows)
    group = draw(random_groups.groups(max_order=max_order, dims=dims))
    shape = draw(random_groups.preserved_shapes(group, sides(row, group)))
    while group.order * np.prod(shape) > max_positions and max(shape) > min(sides(row, group)):
        shape = tuple(max(side - 2, min(sides(row, group))) for side in shape)
    dtype = draw(st.sampled_from(("float32", "float64")))
    return Case(row, group, shape, dtype, seed=draw(st.integers(0, 2**16)))


def _build(group, rngs, param_dtype, *, constructor, arguments, **options):
    return constructor(*arguments, group=group, param_dtype=param_dtype, rngs=rngs, **options)


@st.composite
def drawn_layers(draw, kinds=("Conv", "AttentiveConv", "SelfAttention")) -> Row:
    """A layer with random features, windows, heads and options."""
    kind, lifts = draw(st.sampled_from(kinds)), draw(st.booleans())
    where = "Lifting" if lifts else "Group"
    name = f"Attentive{where}Conv" if kind == "AttentiveConv" else where + kind
    arguments = [3, draw(st.integers(1, 4))]
    options = {"window_mask": draw(st.sampled_from((None, round_window)))}
    if kind == "SelfAttention":
        options["window_size"] = draw(st.sampled_from((1, 3, 5, None)))
        # A feature for each of up to three coordinates, and one for the pose.
        options["num_heads"] = draw(st.integers(1, 3))
        options["qkv_features"] = options["num_heads"] * draw(st.integers(4, 6))
    else:
        arguments.append(draw(st.integers(1, 4)))
        options["kernel_dilation"] = draw(st.integers(1, 2))
        options["use_bias"] = draw(st.booleans())
        span = (arguments[-1] - 1) * options["kernel_dilation"] + 1
        paddings = ("SAME", "VALID")[span % 2 == 0 : 2 if span <= 3 or span % 2 == 0 else 1]
        options["padding"] = draw(st.sampled_from(paddings))
    if kind == "AttentiveConv":
        options["attention"] = draw(st.sampled_from(("full", "channel", "spatial", "input", "rh")))
        options["attention_kernel_size"] = draw(st.sampled_from((1, 3)))
        options["attention_kernel_dilation"] = draw(st.integers(1, 2))
        options["residual"] = draw(st.booleans())
    told = ", ".join(f"{key}={getattr(value, '__name__', value)}" for key, value in options.items())
    return Row(
        f"{name}({', '.join(map(str, arguments))}, {told}){' even' if arguments[-1] == 4 else ''}",
        partial(_build, constructor=getattr(nn, name), arguments=arguments, **options),
        input="grid" if lifts else "feature_map",
    )


def run(strategy, examples: int) -> Tried:
    tried = Tried()

    @settings(SETTINGS, max_examples=examples)
    @given(case=strategy)
    def holds(case):
        tried.add(case, *check(case))

    holds()
    print(tried)
    return tried


def test_layers_and_gradients_are_equivariant_for_random_groups():
    """Any row of the table, or a layer with random options."""
    rows = st.one_of(st.sampled_from(LAYERS), drawn_layers(("Conv", "SelfAttention")))
    run(cases(rows, max_order=12, max_positions=100), examples=8)


@pytest.mark.slow
@pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.name)
def test_every_layer_and_its_gradient_for_random_groups(row):
    run(cases(st.just(row), max_order=24, max_positions=800), examples=25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Conv", "AttentiveConv", "SelfAttention"])
def test_layers_of_random_options_and_their_gradients_for_random_groups(kind):
    run(cases(drawn_layers((kind,)), max_order=24, max_positions=400), examples=100)


# The negative controls: what the property must find.


def ramped(group, rngs, param_dtype):
    def weigh_positions(x):
        ramp = np.arange(1.0, 1 + x.shape[1]).reshape(1, -1, *(1,) * (x.ndim - 2))
        return x * ramp.astype(x.dtype)

    return weigh_positions


def first_pose(group, rngs, param_dtype):
    return lambda x: x - x[..., :1, :]


FAULTS = {
    "positions": (ramped, "the output of positions"),
    "poses": (first_pose, "the output of poses"),
    "gradient": (broken_gradient, "the gradient of gradient"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_property_fails_for_a_layer_that_is_not_equivariant(fault):
    build, message = FAULTS[fault]
    row = Row(fault, build, has_weights=False)
    with pytest.raises(AssertionError, match=message):
        run(cases(st.just(row), max_order=12, max_positions=100, dims=(1, 2)), examples=20)
