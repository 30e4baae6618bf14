"""Restriction to a subgroup: the same function, equivariance under the subgroup alone, and more parameters to train."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from gequi_jax import models, nn
from gequi_jax.functional import restrict_poses
from gequi_jax.groups import FiniteGroup, group_by_name, octahedral_group, trivial_group
from gequi_jax.testing import assert_invariant, audit
from tests import families, shrunk
from tests.models.test_registry import parameter_count
from tests.networks import random_weights, train

# A network of each architecture and kind of attention on p4m, or another group with subgroups.
NETWORKS = (
    "digits_r4m_sa",
    "digits_alpha_f_p4m_cnn",
    "rotmnist_p4m_cnn",
    "rotmnist_alpha_p4m_cnn",
    "rotmnist_alpha_rh_p4m_cnn",
    "cifar10_p4m_resnet44",
    "cifar10_alpha_f_p4m_resnet44",
    "pcam_p4m_densenet",
    "unet_p4m",
)
QUICK = ("digits_alpha_f_p4m_cnn",)


def perturbed(model: nnx.Module) -> nnx.Module:
    """A copy whose parameters and statistics are all different, as after training, in `eval()` mode."""
    graph, random, weights = nnx.split(model, nnx.RngState, ...)
    generator = np.random.default_rng(3)
    noisy = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.05 * np.abs(generator.normal(size=leaf.shape)), leaf.dtype), weights
    )
    copy = nnx.merge(graph, random, noisy)
    copy.eval()
    return copy


@functools.cache
def trained(name: str) -> nnx.Module:
    return perturbed(shrunk.network(name))


def relative_error(y, expected):
    return float(jnp.abs(y - expected).max() / jnp.abs(expected).max())


@nnx.jit
def logits(model, x):
    return model(x)


@pytest.mark.parametrize("name", shrunk.slow_unless(QUICK, NETWORKS))
@pytest.mark.parametrize("subgroup", ["p4", *(pytest.param(name, marks=pytest.mark.slow) for name in ("z2m", "z2"))])
def test_restricted_networks_compute_the_same_function(name, subgroup):
    model, x = trained(name), shrunk.images(name)
    restricted = models.restrict(model, group_by_name(subgroup))
    assert restricted.group == group_by_name(subgroup)
    assert parameter_count(restricted) > parameter_count(model)
    expected = logits(model, x)
    assert float(jnp.std(expected)) > 1e-4
    assert relative_error(logits(restricted, x), expected) < 1e-5


@pytest.mark.parametrize("name", ["digits_r4m_sa", "digits_alpha_f_p4m_cnn"])
@pytest.mark.slow
def test_a_restricted_network_keeps_the_symmetry_of_the_subgroup_alone(name):
    """With different copies for the cosets, as after further training: it passes the audit for K and is not invariant under H."""
    subgroup = group_by_name("z2m")
    restricted = perturbed(models.restrict(trained(name), subgroup))
    report = audit(restricted, shrunk.images(name), group=subgroup)
    assert report.passed, str(report)
    with pytest.raises(AssertionError):
        assert_invariant(lambda x: logits(restricted, x), shrunk.images(name), group=group_by_name("p4m"))


@pytest.mark.slow
def test_twenty_steps_lower_the_loss():
    name = "rotmnist_p4m_cnn"
    model = models.restrict(trained(name), group_by_name("z2m"))
    x, labels = shrunk.images(name, batch=8), jnp.arange(8)
    losses = train(model, optax.sgd(0.1), x, labels, steps=20)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


FOUR_FOLD = octahedral_group().subgroup(
    [h for h, matrix in enumerate(octahedral_group().matrices) if matrix[0, 0] == 1], name="4-fold"
)
PAIRS = [
    (group_by_name("p4m"), group_by_name("z2m")),
    pytest.param(families.SHUFFLED_SQUARE, group_by_name("p4"), marks=pytest.mark.slow),
    pytest.param(octahedral_group(), FOUR_FOLD, marks=pytest.mark.slow),
]


def layers(group: FiniteGroup):
    """Layers of feature maps, by name."""
    return {
        "group_conv": lambda: nn.GroupConv(2, 3, 3, group=group, rngs=nnx.Rngs(0)),
        "group_conv_transpose": lambda: nn.GroupConvTranspose(2, 3, 3, group=group, strides=2, rngs=nnx.Rngs(0)),
        "group_linear": lambda: nn.GroupLinear(2, 3, group=group, rngs=nnx.Rngs(0)),
        "batch_norm": lambda: nn.BatchNorm(2, group=group, rngs=nnx.Rngs(0)),
        "layer_norm": lambda: nn.LayerNorm(2, group=group, rngs=nnx.Rngs(0)),
        "channel_norm": lambda: nn.ChannelNorm(2, rngs=nnx.Rngs(0)),
        "linear": lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)),
    }


class Alone(nnx.Module):
    """A layer and the group that its module must name."""

    def __init__(self, layer, group):
        self.layer, self.group = layer, group

    def __call__(self, x):
        return self.layer(x)


@pytest.mark.parametrize(("group", "subgroup"), PAIRS, ids=lambda group: group.name)
@pytest.mark.parametrize("kind", list(layers(group_by_name("p4m"))))
def test_a_restricted_layer_commutes_with_the_restriction_of_its_input(kind, group, subgroup):
    layer = perturbed(Alone(random_weights(layers(group)[kind]), group))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, *(3,) * group.dim, group.order, 2)), jnp.float32)
    groups = {"group": group, "subgroup": subgroup}
    restricted = models.restrict(layer, subgroup)
    expected = restrict_poses(layer(x), **groups)
    assert relative_error(restricted(restrict_poses(x, **groups)), expected) < 1e-5
    # A negative control: the layer with the cosets of another order.
    assert relative_error(restricted(restrict_poses(x, **groups)[..., ::-1]), expected) > 1e-3


@pytest.mark.parametrize(("group", "subgroup"), PAIRS, ids=lambda group: group.name)
@pytest.mark.parametrize("rank", [1, 2])
def test_restricted_layers_of_fields(rank, group, subgroup):
    """A readout reads the restricted feature map as before, and a lifting gives it."""
    generator, groups = np.random.default_rng(1), {"group": group, "subgroup": subgroup}
    lifting, readout = ((nn.VectorLifting, nn.VectorReadout), (nn.TensorLifting, nn.TensorReadout))[rank - 1]
    layer = Alone(random_weights(lambda: readout(2, 3, group=group, rngs=nnx.Rngs(0))), group)
    x = jnp.asarray(generator.normal(size=(2, *(3,) * group.dim, group.order, 2)), jnp.float32)
    narrow = models.restrict(layer, subgroup)
    assert relative_error(narrow(restrict_poses(x, **groups)), layer(x)) < 1e-5
    assert relative_error(narrow(restrict_poses(x, **groups)[..., ::-1]), layer(x)) > 1e-3
    field = jnp.asarray(generator.normal(size=(2, *(3,) * group.dim, 2, *(group.dim,) * rank)), jnp.float32)
    lift = Alone(lifting(group=group), group)
    narrow = models.restrict(lift, subgroup)
    assert relative_error(narrow(field), restrict_poses(lift(field), **groups)) < 1e-6
    trivial = trivial_group(group.dim)
    expected = restrict_poses(narrow(field), group=subgroup, subgroup=trivial)
    assert relative_error(models.restrict(narrow, trivial)(field), expected) < 1e-6


def test_a_lifting_conv_in_three_dimensions():
    group = octahedral_group()
    layer = Alone(random_weights(lambda: nn.LiftingConv(1, 2, 3, group=group, rngs=nnx.Rngs(0))), group)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 4, 4, 4, 1)), jnp.float32)
    expected = restrict_poses(layer(x), group=group, subgroup=FOUR_FOLD)
    assert relative_error(models.restrict(layer, FOUR_FOLD)(x), expected) < 1e-5


@pytest.mark.slow
def test_restriction_in_two_steps_and_through_a_file(tmp_path):
    name = "digits_r4m_sa"
    model, x = trained(name), shrunk.images(name)
    twice = models.restrict(models.restrict(model, group_by_name("p4")), group_by_name("z2"))
    models.save_weights(twice, tmp_path / "twice.safetensors")
    loaded = models.load_model(tmp_path / "twice.safetensors")
    assert relative_error(logits(loaded, x), logits(model, x)) < 1e-5


def test_what_cannot_be_restricted_is_refused():
    model = shrunk.network("digits_r4_sa")
    with pytest.raises(ValueError, match="expected a subgroup of p4; got z2m"):
        models.restrict(model, group_by_name("z2m"))
    with pytest.raises(ValueError, match="an attribute `group`"):
        models.restrict(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), group_by_name("z2"))
    with pytest.raises(ValueError, match="no rule for Conv, which holds bias"):
        models.restrict(Alone(nnx.Conv(1, 1, 3, rngs=nnx.Rngs(0)), group_by_name("p4")), group_by_name("z2"))
