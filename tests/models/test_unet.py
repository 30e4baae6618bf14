"""U-Nets: equivariance on sides of every kind, attention, fields, training, and the arguments that they reject."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from gequi_jax import export, models, nn
from gequi_jax.groups import cyclic_group, dihedral_group, octahedral_group, trivial_group
from gequi_jax.models import UNet
from gequi_jax.testing import assert_equivariant, audit, equivariance_errors
from tests.models.test_restrict import logits, perturbed, relative_error
from tests.networks import random_weights, train

P4M = dihedral_group(4)
SIZES = {"num_classes": 2, "features": 2, "depth": 2}


def network(group=P4M, channels=1, **options):
    """A network with weights and statistics that all differ, as after training."""
    shape = (*(8,) * group.dim, channels)
    build = lambda: UNet(group=group, input_shape=shape, rngs=nnx.Rngs(0), **{**SIZES, **options})  # noqa: E731
    return perturbed(random_weights(build))


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def assert_segments(model, x):
    """Equivariant under every element, and not by being the same everywhere."""
    assert_equivariant(model, x, group=model.group, output="grid", rtol=1e-5)
    y = np.asarray(logits(model, x))
    assert y.shape == (*x.shape[:-1], 2)
    assert y.std(axis=tuple(range(y.ndim - 1))).min() > 1e-3


# Both sides even, both odd, one of each; padded and not.
@pytest.mark.parametrize(
    "sides", [(8, 8), (9, 9), (6, 11), pytest.param((511 // 16, 477 // 16), marks=pytest.mark.slow)]
)
def test_segmentation_turns_with_images_of_any_size(sides):
    x = noise(1, *sides, 1)
    model = network()
    assert_segments(model, x)


@pytest.mark.slow
def test_large_odd_sides():
    model = network(depth=4, features=1)
    assert_segments(model, noise(1, 511, 477, 1))


@pytest.mark.slow
def test_segmentation_of_volumes_turns_under_every_rotation_of_the_cube():
    group = octahedral_group()
    model = network(group, depth=1, features=1)
    for side in (3, 4):
        assert_segments(model, noise(1, side, side, side, 1))


def test_a_plain_network_fails():
    """The negative control: a U-Net for the trivial group."""
    errors = equivariance_errors(network(trivial_group()), noise(1, 8, 8, 1), group=P4M, output="grid")
    assert errors[1:].min() > 1e-2


BOTTLENECKS = {
    "self_attention": {"attention": functools.partial(nn.GroupSelfAttention, num_heads=1, window_size=3)},
    "attentive": {"conv": functools.partial(nn.AttentiveGroupConv, attention="input", attention_kernel_size=3)},
}


@pytest.mark.parametrize("kind", ["self_attention", pytest.param("attentive", marks=pytest.mark.slow)])
def test_attention_keeps_equivariance(kind):
    model = network(cyclic_group(4), depth=1, features=4, **BOTTLENECKS[kind])
    assert_segments(model, noise(1, 5, 6, 1))


@pytest.mark.parametrize("output", ["vectors", pytest.param("tensors", marks=pytest.mark.slow)])
def test_fields_turn_and_so_do_their_components(output):
    x = noise(1, 7, 6, 2)
    model = network(channels=2, depth=1, input="vectors", output=output, num_classes=1)
    assert_equivariant(model, x, group=P4M, input="vectors", output=output, rtol=1e-5)
    # The components of a field that do not turn are two images.
    assert equivariance_errors(model, x, group=P4M, input="grid", output=output).max() > 1e-2


@pytest.mark.slow
def test_a_plain_and_a_restricted_network_of_fields_compute_the_same():
    x = noise(1, 6, 6, 2)
    model = network(channels=2, depth=1, input="vectors", output="vectors", num_classes=1)
    expected = logits(model, x)
    assert relative_error(logits(export.to_plain(model), x), expected) < 1e-5
    assert relative_error(logits(models.restrict(model, cyclic_group(4)), x), expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("group", "side"), [(P4M, 21), (octahedral_group(), 6)], ids=["p4m", "octahedral"])
def test_a_trained_network_segments_a_turned_image_as_it_segments_the_image(group, side):
    x = noise(4, *(side,) * group.dim, 1)
    labels = (x[..., 0] > 0.5).astype(jnp.int32)
    model = UNet(group=group, input_shape=x.shape[1:], rngs=nnx.Rngs(0), **SIZES)
    losses = train(model, optax.adam(1e-2), x, labels, steps=80)
    model.eval()
    assert losses[-1] < 0.8 * losses[0]
    assert_equivariant(model, x, group=group, output="grid", rtol=1e-5)
    assert_equivariant(lambda x: logits(model, x).argmax(axis=-1), x, group=group, output="class_map")
    assert audit(model, x[:1], group=group, output="grid").passed


def test_the_output_has_the_size_of_the_input_whatever_its_parity():
    model = network(cyclic_group(4), depth=2, features=1)
    for side in (1, 2, 3, 7, 8):
        x = jax.ShapeDtypeStruct((1, side, 10, 1), jnp.float32)
        assert jax.eval_shape(model, x).shape == (1, side, 10, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (8, 8)}, "input_shape: expected 2 sides"),
        ({"features": 0}, "features: expected a positive integer"),
        ({"depth": -1}, "depth: expected an integer of at least 0"),
        ({"output": "flow"}, "output: expected one of 'grid', 'vectors', 'tensors'"),
        ({"input": "vectors"}, "channels divisible by 2"),
        ({"group": "p4m"}, "group: expected a FiniteGroup"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        nnx.eval_shape(lambda: UNet(**{"group": P4M, "input_shape": (8, 8, 1), **SIZES, **options}, rngs=nnx.Rngs(0)))


def test_bad_input():
    with pytest.raises(ValueError, match="input: expected an input of 2 spatial axes and 1 channels"):
        network(depth=0)(jnp.ones((1, 8, 8, 3)))
