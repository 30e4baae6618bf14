"""Convolution as a primitive: values and derivatives of `jax.lax.conv_general_dilated`, under every transformation."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gequi_jax.functional import _blocked_convolution, _filter_gradient, assumed_platform
from gequi_jax.functional._convolution import _convolve_by_xla, convolve
from gequi_jax.functional._sampling import Sampling
from gequi_jax.functional._space_to_depth import is_strided_stem

# dimension, strides, padding, dilation, input channels, output channels
CASES = [
    (1, 1, 1, 1, 3, 10),
    (1, 2, 2, 2, 3, 2),
    (2, 1, 0, 1, 3, 10),
    (2, 1, 2, 2, 3, 2),
    (2, 2, 1, 1, 10, 2),
    (3, 1, 1, 1, 1, 10),
    (3, 1, 0, 1, 2, 2),
    (3, 1, 1, 1, 10, 10),
]
# Windows whose side the stride divides, of few channels: dimension, strides, side of the window, padding, size
STEMS = [(1, 3, 3, 1, 8), (2, 2, 4, 1, 6), (3, 2, 4, 1, 6), (3, 2, 2, 0, 7)]
PLANAR = Sampling(1, ((1, 1), (1, 1)), 1)


def by_xla(sampling):
    return functools.partial(_convolve_by_xla, sampling=sampling, precision=None)


def operands(key, *, dim=2, in_channels=3, out_channels=2, batch=4, dtype=jnp.float64):
    x = jax.random.normal(key, (batch, *(6,) * dim, in_channels), dtype)
    filters = jax.random.normal(jax.random.fold_in(key, 1), (*(3,) * dim, in_channels, out_channels), dtype)
    return x, filters


def gradients(function):
    return jax.grad(lambda x, filters: jnp.sin(function(x, filters)).sum(), (0, 1))


def assert_equal(actual, expected, tolerance=1e-10):
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        scale = np.abs(np.asarray(other, np.float64)).max(initial=1)
        np.testing.assert_allclose(
            np.asarray(one, np.float64), np.asarray(other, np.float64), rtol=0, atol=tolerance * scale
        )


@pytest.fixture
def many_blocks(monkeypatch):
    """Blocks of one or two images, so that every sum runs over several."""
    monkeypatch.setattr(_filter_gradient, "_BLOCK_BYTES", 2**12)
    monkeypatch.setattr(_blocked_convolution, "_BLOCK_BYTES", 2**12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives_are_those_of_xla(case, key, x64, many_blocks):
    dim, strides, pad, dilation, in_channels, out_channels = case
    sampling = Sampling(strides, ((pad, pad),) * dim, dilation)
    x, filters = operands(key, dim=dim, in_channels=in_channels, out_channels=out_channels)

    @functools.partial(jax.jit, static_argnums=0)
    def everything(function):
        first = gradients(function)
        tangents = (jnp.cos(x), jnp.cos(filters))
        return first(x, filters), jax.jvp(function, (x, filters), tangents), jax.jvp(first, (x, filters), tangents)

    assert_equal(everything(functools.partial(convolve, sampling=sampling)), everything(by_xla(sampling)))


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) for case in STEMS[1:]] + STEMS[:1], ids=str
)
def test_strided_stems_have_the_values_and_gradients_of_xla(case, key, x64):
    dim, strides, side, pad, size = case
    sampling = Sampling(strides, ((pad, pad),) * dim, 1)
    x = jax.random.normal(key, (2, *(size,) * dim, 3), jnp.float64)
    filters = jax.random.normal(jax.random.fold_in(key, 1), (*(side,) * dim, 3, 4), jnp.float64)
    assert is_strided_stem(x.shape, filters.shape[:-2], sampling)
    stem = functools.partial(convolve, sampling=sampling)
    assert_equal(stem(x, filters), by_xla(sampling)(x, filters))
    assert_equal(gradients(stem)(x, filters), gradients(by_xla(sampling))(x, filters))


def test_second_derivatives_in_reverse_mode(key, x64, many_blocks):
    x, filters = operands(key)

    def second(function):
        return jax.grad(lambda *both: sum(jnp.vdot(g, g) for g in gradients(function)(*both)), (0, 1))(x, filters)

    assert_equal(second(functools.partial(convolve, sampling=PLANAR)), second(by_xla(PLANAR)))


@pytest.mark.parametrize("axes", [(0, 0), (1, None), (None, 0)], ids=str)
def test_vmap(axes, key, x64, many_blocks):
    both = [
        array if axis is None else jnp.stack([array, jnp.cos(array), 2 * array], axis)
        for array, axis in zip(operands(key), axes, strict=True)
    ]
    actual, expected = (
        jax.vmap(gradients(function), axes)(*both)
        for function in (functools.partial(convolve, sampling=PLANAR), by_xla(PLANAR))
    )
    assert_equal(actual, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.02), (jnp.float16, 0.003)])
@pytest.mark.parametrize("out_channels", [pytest.param(2, marks=pytest.mark.slow), 10])
def test_types(dtype, tolerance, out_channels, key, many_blocks):
    x, filters = operands(key, out_channels=out_channels, dtype=dtype)
    wide = [array.astype(jnp.float32) for array in (x, filters)]
    expected = jax.tree.map(lambda array: array.astype(dtype), gradients(by_xla(PLANAR))(*wide))
    assert_equal(gradients(functools.partial(convolve, sampling=PLANAR))(x, filters), expected, 2 * tolerance)


def test_other_dimensions_are_refused(key):
    x, filters = operands(key, dtype=jnp.float32)
    with pytest.raises(ValueError, match="got 0 spatial axes"):
        convolve(x[:, 0, 0], filters[0, 0], Sampling(1, (), 1))


@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches(batch, key):
    x, filters = operands(key, batch=batch, dtype=jnp.float32)
    actual = gradients(functools.partial(convolve, sampling=PLANAR))(x, filters)
    assert_equal(actual, gradients(by_xla(PLANAR))(x, filters), 1e-5)


def test_windows_that_do_not_fit_in_blocks_are_left_to_xla(key, monkeypatch):
    x, filters = operands(key, dtype=jnp.float32)
    program = jax.jit(gradients(functools.partial(convolve, sampling=PLANAR)))
    monkeypatch.setattr(_filter_gradient, "_BLOCK_BYTES", 1)
    assert "while" in program.lower(x, filters).as_text()
    monkeypatch.setattr(_filter_gradient, "_IMAGE_BYTES", 1)
    monkeypatch.setattr(_blocked_convolution, "_MOST_CHANNELS", 1)
    # Another batch, since JAX keeps what it has lowered for one.
    assert "while" not in program.lower(x[1:], filters).as_text()


def test_only_a_program_for_a_cpu_has_loops(key):
    x, filters = operands(key, dtype=jnp.float32, batch=64, out_channels=10)
    program = jax.jit(gradients(functools.partial(convolve, sampling=PLANAR)))
    exported = jax.export.export(program, platforms=("cpu", "cuda", "tpu"))(x, filters)
    assert_equal(exported.call(x, filters), program(x, filters), 1e-5)
    assert "while" not in jax.export.export(program, platforms=("cuda",))(x, filters).mlir_module()


def test_export_for_any_batch(key):
    (batch,) = jax.export.symbolic_shape("batch")
    x, filters = operands(key, dtype=jnp.float32)
    program = jax.jit(gradients(functools.partial(convolve, sampling=PLANAR)))
    exported = jax.export.export(program)(jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), filters)
    assert_equal(exported.call(x, filters), program(x, filters), 1e-5)


SHARED = """
import re
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from gequi_jax.functional import _blocked_convolution, _filter_gradient, assumed_platform
from gequi_jax.functional._convolution import convolve
from gequi_jax.functional._sampling import Sampling

_filter_gradient._BLOCK_BYTES = _blocked_convolution._BLOCK_BYTES = 2**12
mesh = Mesh(np.array(jax.devices()), ("data",))
shared, copied = (NamedSharding(mesh, PartitionSpec(*names)) for names in (("data",), ()))
x = jax.random.normal(jax.random.key(0), (8, 6, 6, 3))
filters = jax.random.normal(jax.random.key(1), (3, 3, 3, OUT_CHANNELS))

def gradients(x, filters):
    def loss(x, filters):
        return jnp.sin(convolve(x, filters, Sampling(1, ((1, 1), (1, 1)), 1))).sum()
    return jax.grad(loss, (0, 1))(x, filters)

program = jax.jit(gradients, in_shardings=(shared, copied), out_shardings=(shared, copied)).lower(x, filters).compile()
text = program.as_text()
assert " while(" in text
assert set(re.findall(r" (all-[a-z]+|collective-[a-z]+)\\(", text)) == {"all-reduce"}, text
assert len(re.findall(r" all-reduce\\(", text)) == 1
actual = program(jax.device_put(x, shared), jax.device_put(filters, copied))
for one, other in zip(actual, jax.jit(gradients)(x, filters), strict=True):
    np.testing.assert_allclose(one, other, atol=1e-4)
"""


@pytest.mark.parametrize("out_channels", [pytest.param(2, marks=pytest.mark.slow), 10])
def test_a_batch_that_two_devices_share_is_not_gathered(out_channels):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    script = SHARED.replace("OUT_CHANNELS", str(out_channels))
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_explicit_sharding_is_that_of_xla(key):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    x, filters = operands(key, dtype=jnp.float32)
    with jax.set_mesh(mesh):
        x = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
        filters = jax.device_put(filters, jax.NamedSharding(mesh, jax.P()))
        function = functools.partial(convolve, sampling=PLANAR)
        assert jax.typeof(function(x, filters)) == jax.typeof(by_xla(PLANAR)(x, filters))
        assert_equal(gradients(function)(x, filters), gradients(by_xla(PLANAR))(x, filters), 1e-5)


def test_shard_map(key):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x, filters = operands(key, dtype=jnp.float32)

    def loss(x, filters):
        return jax.lax.psum(jnp.sin(convolve(x, filters, PLANAR)).sum(), "data")

    specs = (jax.P("data"), jax.P())
    shared = jax.shard_map(jax.grad(loss, (0, 1)), mesh=mesh, in_specs=specs, out_specs=specs)
    assert_equal(shared(x, filters), gradients(by_xla(PLANAR))(x, filters), 1e-5)


@pytest.mark.parametrize("platform", ["default", "cpu"])
def test_an_assumed_platform_leaves_the_primitives_of_jax(platform, key):
    """Converters to other formats know no others."""
    x, filters = operands(key, dtype=jnp.float32)
    trace = jax.make_jaxpr(lambda x, filters: convolve(x, filters, PLANAR))
    assert "gequi_convolve" in str(trace(x, filters))
    with assumed_platform(platform):
        assert "gequi_convolve" not in str(jax.make_jaxpr(lambda x, filters: convolve(x, filters, PLANAR))(x, filters))
