"""Every network passes the audit, in float32 and in bfloat16: no layer of it loses equivariance."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gequi_jax import models
from gequi_jax.actions import grid_preserving_elements
from gequi_jax.testing import audit, tolerance
from tests import shrunk

DTYPES = pytest.mark.parametrize("dtype", [None, jnp.bfloat16], ids=["float32", "bfloat16"])


def generators(group):
    """A few elements of which the exact ones are products."""
    chosen, generated = [], {group.identity}
    for element in grid_preserving_elements(group):
        if element not in generated:
            chosen.append(element)
            while (
                products := {int(group.cayley_table[a, b]) for a in chosen for b in generated | {element}} - generated
            ):
                generated |= products
    return chosen or [group.identity]


def report(model, x, dtype):
    limit = None if dtype is None else tolerance(dtype)
    result = audit(model, x, group=model.group, elements=generators(model.group), rtol=limit)
    print(f"{jnp.dtype(dtype or jnp.float32).name}: largest error {result.largest_error:.1e} of {result.tolerance:.1e}")
    return result


@pytest.mark.parametrize(
    "name",
    shrunk.every_network(quick=("pcam_p4_densenet",)),
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
