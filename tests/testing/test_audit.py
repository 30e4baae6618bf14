"""The audit names the layer in planted faults, and finds none where there is none."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import functional, models, nn
from gequi_jax.groups import cyclic_group, dihedral_group
from gequi_jax.testing import audit
from gequi_jax.testing._weights import prepared

P4 = cyclic_group(4)
FEATURES = 4


class Net(nnx.Module):
    """Lifting, a group convolution, something, another group convolution: the something is planted."""

    def __init__(self, planted, group=P4):
        self.lift = nn.LiftingConv(1, FEATURES, 3, group=group, rngs=nnx.Rngs(0))
        self.sound = nn.GroupConv(FEATURES, FEATURES, 3, group=group, rngs=nnx.Rngs(1))
        self.planted = planted
        self.after = nn.GroupConv(FEATURES, FEATURES, 3, group=group, rngs=nnx.Rngs(2))

    def __call__(self, x):
        return self.after(self.planted(nnx.relu(self.sound(self.lift(x)))))


class OnMerged(nnx.Module):
    """Applies a layer to [batch, rows, columns, group * channels]."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, x):
        y = self.layer(x.reshape(*x.shape[:-2], -1))
        return y.reshape(*y.shape[:-1], *x.shape[-2:])


class Function(nnx.Module):
    """A function as a layer."""

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


class AbsolutePosition(nnx.Module):
    """A learned table over the positions."""

    def __init__(self, rows, columns):
        self.table = nnx.Param(jax.random.normal(jax.random.key(0), (1, rows, columns, 1, 1)))

    def __call__(self, x):
        return x + self.table[...]


class WrongPermutation(nnx.Module):
    """A group convolution that turns its kernels and forgets to permute their poses."""

    def __init__(self):
        self.kernel = nnx.Param(jax.random.normal(jax.random.key(0), (3, 3, 4, FEATURES, FEATURES)))

    def __call__(self, x):
        copies = [jnp.rot90(self.kernel[...], k) for k in range(4)]
        bank = jnp.stack(copies, axis=-2).reshape(3, 3, 4 * FEATURES, 4 * FEATURES)
        merged = x.reshape(*x.shape[:-2], -1)
        y = jax.lax.conv_general_dilated(merged, bank, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y.reshape(*x.shape[:-1], FEATURES)


class OnePoseAttention(nnx.Module):
    """Attends to the first pose only."""

    def __call__(self, x):
        weights = nnx.softmax(x[..., :1, :], axis=-1)
        return x * weights


def published_pose(group):
    v, a, b = np.ogrid[: group.order, : group.order, : group.order]
    return (b + v - a) % group.order


FAULTS = {
    "stride_on_an_even_map": (
        nn.GroupConv(FEATURES, FEATURES, 3, group=P4, strides=2, allow_inequivariant=True, rngs=nnx.Rngs(3)),
        8,
        "planted",
        "stride of 2",
    ),
    "odd_map_under_pooling": (
        Function(lambda x: functional.spatial_pool(x, dim=2, allow_inequivariant=True)),
        9,
        "planted",
        None,
    ),
    "norm_with_parameters_for_each_pose": (
        OnMerged(nnx.BatchNorm(4 * FEATURES, rngs=nnx.Rngs(3))),
        9,
        "planted.layer",
        "one for each pose",
    ),
    "plain_convolution": (OnMerged(nnx.Conv(16, 16, (3, 3), rngs=nnx.Rngs(3))), 9, "planted.layer", "GroupConv"),
    "wrong_kernel_permutation": (WrongPermutation(), 9, "planted", None),
    "published_pose_index": (
        nn.GroupSelfAttention(
            FEATURES,
            FEATURES,
            group=P4,
            num_heads=2,
            qkv_features=12,
            window_size=3,
            pose_index=published_pose,
            rngs=nnx.Rngs(3),
        ),
        9,
        "planted",
        "published_pose, is not invariant",
    ),
    "absolute_position": (AbsolutePosition(9, 9), 9, "planted", "absolute positions"),
    "asymmetric_padding": (
        Function(lambda x: jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0), (0, 0)))),
        9,
        "planted",
        "not the same on every side",
    ),
    "attention_over_a_fixed_pose": (OnePoseAttention(), 9, "planted", "fixed index into the group axis"),
    "dense_layer_across_the_group": (
        OnMerged(nnx.Linear(16, 16, rngs=nnx.Rngs(3))),
        9,
        "planted.layer",
        "across the group",
    ),
    "layer_of_another_group": (
        nn.GroupConv(FEATURES, FEATURES, 3, group=dihedral_group(2), rngs=nnx.Rngs(3)),
        9,
        "planted",
        "built for p2m",
    ),
    "even_window": (
        nn.GroupConv(FEATURES, FEATURES, 4, group=P4, allow_inequivariant=True, rngs=nnx.Rngs(3)),
        9,
        "planted",
        "odd window",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_audit_names_the_layer_and_the_cause(fault, key):
    planted, size, path, words = FAULTS[fault]
    report = audit(Net(planted), jax.random.normal(key, (2, size, size, 1)), group=P4)
    assert not report.passed
    assert report.fault == path
    assert words is None or words in report.cause
    errors = {row.path: row.error for row in report.rows}
    assert errors["sound"] < 1e-5 < 1e-3 < errors[path]
    assert f"lost at {path}" in str(report)
    assert report.as_dict()["fault"] == path


def test_a_fault_between_modules_is_placed_between_them(key):
    class Pooled(Net):
        def __call__(self, x):
            y = self.sound(self.lift(x))
            return self.after(functional.spatial_pool(y, dim=2, allow_inequivariant=True))

    report = audit(Pooled(Function(nnx.relu)), jax.random.normal(key, (2, 9, 9, 1)), group=P4)
    assert report.fault == "after"
    assert "between sound and after" in report.cause
    assert "blocks of 2 do not tile an odd side" in report.cause


def test_a_fault_after_the_last_module_is_in_the_model(key):
    class Cornered(Net):
        def __call__(self, x):
            return super().__call__(x)[:, 0, 0].max(axis=1)

    report = audit(Cornered(Function(nnx.relu)), jax.random.normal(key, (2, 9, 9, 1)), group=P4)
    assert report.fault == "(model)"
    assert "but its own code is not" in report.cause


@pytest.mark.parametrize("name", [pytest.param("digits_r4_sa", marks=pytest.mark.slow), "rotmnist_p4_cnn"])
def test_models_pass_with_weights_scaled_three_times(name, key):
    info = models.model_info(name)
    model = models.create_model(name, rngs=nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
    report = audit(model, jax.random.normal(key, (2, *info.input_shape)), group=info.group, weight_scale=3.0)
    assert report.passed, str(report)
    assert len(report.rows) > 10
    assert report.rows[0].path == "(model)"
    assert report.rows[0].kind == "invariant"
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model, nnx.Param))


@pytest.mark.parametrize("shape", [(4 * FEATURES,), (9, 1)])
def test_faults_that_sleep_in_equal_parameters_are_woken(shape, key):
    """A bias for each pose or each row, 0 as it is before training."""

    class Biased(nnx.Module):
        def __init__(self):
            self.bias = nnx.Param(jnp.zeros(shape))

        def __call__(self, x):
            return x + self.bias[...].reshape((1, 9, 1, 1, 1) if shape[0] == 9 else (1, 1, 1, 4, FEATURES))

    x = jax.random.normal(key, (2, 9, 9, 1))
    net = Net(Biased())
    assert audit(net, x, group=P4, perturb=0).passed
    assert audit(net, x, group=P4).fault == "planted"
    assert not net.planted.bias[...].any()


def test_parameters_that_differ_are_audited_as_they_are(key):
    norm = nn.BatchNorm(FEATURES, group=P4, rngs=nnx.Rngs(0))
    arrays = (norm.scale, norm.bias, norm.mean, norm.var)
    x = jax.random.normal(key, (2, 5, 5, 4, FEATURES))

    def audited():
        copy = prepared(norm, x, weight_scale=1.0, perturb=0.1, dtype=None)
        return np.asarray([copy.scale[...], copy.bias[...], copy.mean[...], copy.var[...]])

    for values, start in zip(audited(), (1.0, 0.0, 0.0, 1.0), strict=True):
        assert 0.02 < values.std() < 0.3
        assert np.abs(values - start).max() < 0.4
    for array, start in zip(arrays, (1.0, 0.0, 0.0, 1.0), strict=True):
        np.testing.assert_array_equal(array[...], start)
        array[...] = jnp.linspace(0.5, 2.0, FEATURES)
    np.testing.assert_array_equal(audited(), [array[...] for array in arrays])


def test_batch_norms_have_the_statistics_of_the_network_that_is_audited(key):
    """Of the input where they have none or the weights were scaled; a channel that does not vary keeps what it had."""
    x = jax.random.normal(key, (2, 5, 5, 4, 3))
    x = jnp.stack([2 * x[..., 0] + 1, 0.5 * x[..., 1] - 3, jnp.full_like(x[..., 2], 7)], axis=-1)
    norm = nn.BatchNorm(3, group=P4, rngs=nnx.Rngs(0))

    def audited(**options):
        copy = prepared(norm, x, **{"weight_scale": 1.0, "perturb": 0.1, "dtype": None, **options})
        assert (copy.use_running_average, copy.momentum) == (True, norm.momentum)
        assert copy.mean[...].dtype == options.get("dtype", jnp.float32)
        return np.asarray(copy.mean[...]), np.asarray(copy.var[...])

    mean, var = audited()
    np.testing.assert_allclose(mean[:2], np.mean(x, axis=(0, 1, 2, 3))[:2], rtol=1e-5)
    np.testing.assert_allclose(var[:2], np.var(x, axis=(0, 1, 2, 3))[:2], rtol=1e-5)
    assert abs(mean[2]) < 0.4
    assert abs(var[2] - 1) < 0.4
    np.testing.assert_array_equal(audited(perturb=0), [[0, 0, 0], [1, 1, 1]])
    norm.mean[...] = jnp.asarray([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(audited()[0], [1, 2, 3])
    np.testing.assert_allclose(audited(weight_scale=3.0)[0], [mean[0], mean[1], 3], rtol=1e-6)
    # Flax's norms ask for the wider of two types, which strict promotion refuses.
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        x = x.astype("float64")
        np.testing.assert_allclose(audited(weight_scale=3.0, dtype="float64")[0], [mean[0], mean[1], 3], rtol=1e-5)


def test_float64_tells_rounding_from_faults(key):
    x = jax.random.normal(key, (2, 9, 9, 1))
    net = functools.partial(Net, Function(nnx.relu))
    assert audit(net(), x, group=P4, dtype="float64").largest_error < 1e-12
    assert audit(net(), x, group=P4).largest_error > 1e-12


def magnified(x):
    return jnp.sin(100.0 * x)


def test_magnified_rounding_is_remarked_upon_and_no_fault(key):
    x = jax.random.normal(key, (2, 9, 9, 1))
    report = audit(Net(Function(magnified)), x, group=P4)
    assert 1e-5 < report.largest_error < 1e-3
    assert report.passed
    assert "first above the tolerance at planted" in report.remark
    assert f"Round-off: {report.remark}" in str(report)
    assert report.as_dict()["remark"] == report.remark
    sound = audit(Net(Function(nnx.relu)), x, group=P4)
    assert sound.remark is None
    assert "Round-off" not in str(sound)


def test_a_tolerance_that_is_told_holds_for_rounding_too(key):
    x = jax.random.normal(key, (2, 9, 9, 1))
    report = audit(Net(Function(magnified)), x, group=P4, rtol=1e-5)
    assert report.fault == "planted"
    assert "times that of its input" in report.cause
    assert "dtype='float64'" in report.cause
    assert audit(Net(Function(magnified)), x, group=P4, rtol=1e-5, dtype="float64").passed


def test_a_fault_as_small_as_magnified_rounding_is_found(key):
    x = jax.random.normal(key, (2, 9, 9, 1))
    ramp = np.linspace(0, 1e-4, 9, dtype=np.float32).reshape(1, 9, 1, 1, 1)
    report = audit(Net(Function(lambda x: x + ramp.astype(x.dtype))), x, group=P4)
    assert report.fault == "planted"
    assert 1e-5 < report.largest_error < 1e-3


def test_a_model_that_float64_does_not_run_through_keeps_the_verdict_of_float32(key):
    x = jax.random.normal(key, (2, 9, 9, 1))
    single = Function(lambda x: jax.lax.add(magnified(x), np.zeros(x.shape, np.float32)))
    report = audit(Net(single), x, group=P4)
    assert report.fault == "planted"


def test_kinds_can_be_told_and_are_checked(key):
    x = jax.random.normal(key, (2, 9, 9, 1))
    net = Net(Function(nnx.relu))
    assert audit(net, x, group=P4, kinds={"lift": "feature_map"}).passed
    assert not audit(net, x, group=P4, kinds={"lift": "grid"}).passed
    with pytest.raises(ValueError, match="no layer 'lifting'; the layers are"):
        audit(net, x, group=P4, kinds={"lifting": "grid"})
    with pytest.raises(ValueError, match="expected one of"):
        audit(net, x, group=P4, kinds={"lift": "image"})
    with pytest.raises(ValueError, match="input: expected one of 'grid', 'feature_map'"):
        audit(net, x, group=P4, input="image")
    with pytest.raises(ValueError, match="perturb: expected 0 or more; got -1"):
        audit(net, x, group=P4, perturb=-1)


def test_classes_are_left_as_they_were(key):
    class Inheriting(Function):
        pass

    before = nn.GroupConv.__call__
    with pytest.raises(ZeroDivisionError):
        audit(Net(Inheriting(lambda x: 1 // 0)), jax.random.normal(key, (1, 9, 9, 1)), group=P4)
    assert nn.GroupConv.__call__ is before
    assert "__call__" not in vars(Inheriting)
