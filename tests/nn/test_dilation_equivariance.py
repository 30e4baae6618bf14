"""Every layer on the dilation-translation group under a dilation by two; and the controls that must fail."""

import jax
import numpy as np
import pytest
from flax import nnx

from gequi_jax.groups import DyadicDilations
from gequi_jax.nn import GroupDilationSelfAttention
from tests.equivariance_table import DILATION_LAYERS, DilationRow
from tests.networks import random_weights

DILATIONS = DyadicDilations(3)
SIDE, REACH = 17, 2


def waves(input: str, dilation: int, dtype: str) -> np.ndarray:
    """L_s f for a sum of waves f of position and, on the group, of the logarithm of the scale: f(x / s, h / s)."""
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(*[(np.arange(SIDE) - SIDE // 2) / dilation] * 2, indexing="ij")
    a, b, c, phase = random.uniform(-0.5, 0.5, (4, 12))
    waves = rows[..., None, None] * a + columns[..., None, None] * b + 6 * phase
    octaves = np.log2(np.asarray(DILATIONS.scales) / dilation) if input == "scales" else np.zeros(1)
    signal = np.cos(waves + c * octaves[:, None]).reshape(SIDE, SIDE, -1, 4, 3).sum(axis=-2)
    return (signal if input == "scales" else signal[:, :, 0])[None].astype(dtype)


def scale_error(row: DilationRow, dtype: str, weigh=lambda x: x) -> float:
    """The relative error of out(2 x, 2 h) for the dilated input against out(x, h), where all neighbours exist."""
    graph, state = nnx.split(random_weights(lambda: row.build(DILATIONS, nnx.Rngs(0), dtype), gain=3.0))
    layer = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    plain, dilated = (np.asarray(layer(state, weigh(waves(row.input, s, dtype))))[0] for s in (1, 2))
    offsets, scales = np.arange(-REACH, REACH + 1), DILATIONS.num_scales - row.scale_window
    expected = plain[np.ix_(SIDE // 2 + offsets, SIDE // 2 + offsets)][:, :, :scales]
    got = dilated[np.ix_(SIDE // 2 + 2 * offsets, SIDE // 2 + 2 * offsets)][:, :, 1 : scales + 1]
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("row", DILATION_LAYERS, ids=lambda row: row.name)
def test_layers_are_equivariant_in_float32(row):
    assert scale_error(row, "float32") < 1e-5


@pytest.mark.parametrize("row", DILATION_LAYERS, ids=lambda row: row.name)
@pytest.mark.usefixtures("x64")
def test_layers_are_equivariant_in_float64(row):
    assert scale_error(row, "float64") < 1e-12


@pytest.mark.parametrize("row", DILATION_LAYERS, ids=lambda row: row.name)
def test_a_layer_that_weighs_positions_fails(row):
    ramp = np.arange(1.0, SIDE + 1, dtype=np.float32).reshape(1, SIDE, *(1,) * (2 + (row.input == "scales")))
    assert scale_error(row, "float32", weigh=lambda x: x * ramp) > 1e-2


def test_the_printed_weights_fail():
    def build(dilations, rngs, param_dtype):
        options = {"num_heads": 2, "haar_weights": "printed", "param_dtype": param_dtype, "rngs": rngs}
        return GroupDilationSelfAttention(3, 16, dilations=dilations, scale_window=2, **options)

    assert scale_error(DilationRow("printed", build, "scales", 2), "float32") > 1e-2
