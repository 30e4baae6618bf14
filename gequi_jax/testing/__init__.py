"""Equivariance as a test, for the layers of this package and for users' own.

Example:
  >>> import jax.numpy as jnp
  >>> from gequi_jax.groups import cyclic_group
  >>> assert_equivariant(lambda x: x**2, jnp.ones((1, 5, 5, 2)), group=cyclic_group(4), output="grid")
"""

from gequi_jax.testing._attention import assert_attention_equivariant as assert_attention_equivariant
from gequi_jax.testing._attention import attention_errors as attention_errors
from gequi_jax.testing._audit import audit as audit
from gequi_jax.testing._equivariance import assert_equivariant as assert_equivariant
from gequi_jax.testing._equivariance import assert_invariant as assert_invariant
from gequi_jax.testing._equivariance import equivariance_errors as equivariance_errors
from gequi_jax.testing._report import AuditReport as AuditReport
from gequi_jax.testing._report import AuditRow as AuditRow
from gequi_jax.testing._resampling import (
    assert_equivariant_but_for_resampling as assert_equivariant_but_for_resampling,
)
from gequi_jax.testing._resampling import resampling_errors as resampling_errors
from gequi_jax.testing._tolerances import tolerance as tolerance
