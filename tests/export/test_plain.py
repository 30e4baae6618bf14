"""Plain networks: the same outputs from ordinary layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import export, models, nn
from gequi_jax.actions import round_window
from gequi_jax.groups import FiniteGroup, group_by_name, octahedral_group
from tests import shrunk
from tests.models.test_restrict import logits, perturbed, relative_error, trained
from tests.networks import random_weights

NETWORKS = (*shrunk.REPRESENTATIVES, "rotmnist_p4_cnn")
QUICK = ("rotmnist_p4_cnn", "digits_alpha_f_p4_cnn")


@pytest.mark.parametrize("name", shrunk.slow_unless(QUICK, NETWORKS))
def test_plain_networks_compute_the_same_function(name):
    model, x = trained(name), shrunk.images(name)
    plain = export.to_plain(model)
    expected = logits(model, x)
    assert relative_error(logits(plain, x), expected) < 1e-6
    # A negative control: other weights give other outputs.
    assert relative_error(logits(export.to_plain(shrunk.network(name)), x), expected) > 1e-3


@pytest.mark.parametrize("name", QUICK)
def test_plain_convolutions_take_the_form_of_the_platform(name):
    """By the primitive of the model; XLA alone is up to 2.5 times slower on a CPU."""
    model, x = trained(name), shrunk.images(name)
    program = jax.make_jaxpr(export.to_plain(model))(x)
    names = [equation.primitive.name for equation in program.eqns]
    assert names.count("gequi_convolve") == str(jax.make_jaxpr(model)(x)).count("gequi_convolve[")
    assert "conv_general_dilated" not in names


@pytest.mark.slow
def test_restricted_self_attention():
    model, x = trained("digits_r4m_sa"), shrunk.images("digits_r4m_sa")
    plain = export.to_plain(models.restrict(model, group_by_name("p4")))
    assert relative_error(logits(plain, x), logits(model, x)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_plain_networks_in_float64(name, x64):
    model = perturbed(shrunk.network(name, param_dtype=jnp.float64))
    x = shrunk.images(name).astype(jnp.float64)
    assert relative_error(logits(export.to_plain(model), x), logits(model, x)) < 1e-12


def kinds_of_layers(module: nnx.Module) -> set[type]:
    return {type(layer) for _, layer in nnx.iter_modules(module)}


def test_what_a_plain_network_is_made_of():
    equivariant = {
        nn.LiftingConv,
        nn.GroupConv,
        nn.BatchNorm,
        nn.LayerNorm,
        nn.GroupSelfAttention,
        nn.LiftingSelfAttention,
    }
    for name in ("rotmnist_p4_cnn", "digits_r4_sa"):
        model = trained(name)
        plain = export.to_plain(model)
        assert kinds_of_layers(model) & equivariant
        assert not kinds_of_layers(plain) & equivariant
        assert plain.group.order == 1
        assert not hasattr(plain, "spec")
        assert model.group.order == 4
    assert nnx.Conv in kinds_of_layers(export.to_plain(trained("rotmnist_p4_cnn")))


def plain_and_expected(build, x: np.ndarray):
    layer = perturbed(random_weights(build))
    return export.to_plain(layer)(jnp.asarray(x)), layer(jnp.asarray(x))


def noise(group: FiniteGroup, *, poses: bool, side: int = 5) -> np.ndarray:
    shape = (2, *(side,) * group.dim, *((group.order,) if poses else ()), 2)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


CONVS = {
    "strided": {"strides": 2},
    "valid": {"padding": "VALID", "use_bias": False},
    "padded_and_dilated": {"padding": 2, "kernel_dilation": 2},
    "masked": {"window_mask": round_window},
    "masked_by_an_array": {"window_mask": np.eye(3, dtype=bool) | np.eye(3, dtype=bool)[::-1]},
}


@pytest.mark.parametrize("options", list(CONVS.values()), ids=list(CONVS))
@pytest.mark.parametrize("name", ["p4m", "p8"])
def test_convolutions_with_every_option(options, name):
    group = group_by_name(name)
    for constructor, poses in ((nn.LiftingConv, False), (nn.GroupConv, True)):
        plain, expected = plain_and_expected(
            lambda constructor=constructor: constructor(2, 3, 3, group=group, **options, rngs=nnx.Rngs(0)),
            noise(group, poses=poses),
        )
        assert relative_error(plain, expected) < 1e-6


@pytest.mark.parametrize(
    ("side", "options"),
    [
        (3, {"strides": 2}),
        (4, {"strides": 2, "padding": 1, "use_bias": False}),
        (3, {"strides": 2, "padding": 3, "kernel_dilation": 2}),
    ],
)
def test_transposed_convolutions(side, options):
    group = group_by_name("p4m")
    plain, expected = plain_and_expected(
        lambda: nn.GroupConvTranspose(2, 3, side, group=group, **options, rngs=nnx.Rngs(0)), noise(group, poses=True)
    )
    assert relative_error(plain, expected) < 1e-6


def test_linear_maps_and_volumes():
    group = octahedral_group()
    x = noise(group, poses=True, side=3)
    for build in (
        lambda: nn.GroupLinear(2, 3, group=group, rngs=nnx.Rngs(0)),
        lambda: nn.GroupConv(2, 3, 3, group=group, rngs=nnx.Rngs(0)),
        lambda: nn.GroupConvTranspose(2, 3, 2, group=group, padding="VALID", rngs=nnx.Rngs(0)),
        lambda: nn.VectorReadout(2, 1, group=group, rngs=nnx.Rngs(0)),
    ):
        plain, expected = plain_and_expected(build, x)
        assert relative_error(plain, expected) < 1e-6


def test_types_are_kept():
    group = group_by_name("p4")
    layer = nn.GroupConv(2, 3, 3, group=group, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = jax.ShapeDtypeStruct((1, 5, 5, 4, 2), jnp.float32)
    assert jax.eval_shape(export.to_plain(layer), x).dtype == jnp.bfloat16
