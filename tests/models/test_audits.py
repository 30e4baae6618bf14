"""Every network passes the audit, in float32 and in bfloat16: no layer of it loses equivariance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gequi_jax import models
from gequi_jax.testing import audit, tolerance
from tests import shrunk

DTYPES = pytest.mark.parametrize("dtype", [None, jnp.bfloat16], ids=["float32", "bfloat16"])


def generators(group):
    """Elements of which the exact ones are products: a quarter turn or a mirroring, and one of each."""
    exact = [h for h, matrix in enumerate(group.matrices) if np.isin(matrix, (-1, 0, 1)).all() and h != group.identity]
    turns = [h for h in exact if np.linalg.det(group.matrices[h]) > 0]
    mirrors = [h for h in exact if np.linalg.det(group.matrices[h]) < 0]
    return [*turns[:1], *mirrors[:1]] or [group.identity]


def report(model, x, dtype):
    limit = None if dtype is None else tolerance(dtype)
    result = audit(model, x, group=model.group, elements=generators(model.group), rtol=limit)
    print(f"{jnp.dtype(dtype or jnp.float32).name}: largest error {result.largest_error:.1e} of {result.tolerance:.1e}")
    return result


@pytest.mark.parametrize(
    "name",
    shrunk.slow_unless(("pcam_p4_densenet", "cifar10_p4m_resnet44"), models.list_models()),
)
@DTYPES
def test_every_network_passes_the_audit(name, dtype):
    result = report(shrunk.network(name, dtype=dtype), shrunk.images(name), dtype)
    assert result.passed, str(result)


@pytest.mark.full_size
@pytest.mark.parametrize("name", models.list_models())
@DTYPES
def test_every_network_passes_the_audit_at_full_size(name, dtype):
    model = models.create_model(name, rngs=nnx.Rngs(0), dtype=dtype)
    x = jax.random.normal(jax.random.key(1), (1, *models.model_info(name).input_shape))
    result = report(model, x, dtype)
    assert result.passed, str(result)
