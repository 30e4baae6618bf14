"""The choice of a plan by platform: the only file that depends on where a computation runs.

JAX traces a function before it is known where the computation will run: an array may live on a device other than the
default one, and a program may be exported for another platform. A plan, such as the size of a block, is therefore chosen
when the program is lowered.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir

_ASSUMED: contextvars.ContextVar[str | None] = contextvars.ContextVar("assumed platform", default=None)


@contextlib.contextmanager
def assumed_platform(platform: str) -> Iterator[None]:
    """Traces functions inside the context for one platform, where a program without a choice of platforms is needed.

    Converters to other formats, such as ONNX, do not support a choice between platforms.

    Args:
      platform: its name, as in `jax.lax.platform_dependent`, or "default" for an accelerator.
    """
    token = _ASSUMED.set(platform)
    try:
        yield
    finally:
        _ASSUMED.reset(token)


def is_platform_assumed() -> bool:
    """Whether this is traced inside `assumed_platform`."""
    return _ASSUMED.get() is not None


def by_platform(function: Callable[..., Any], *operands: Any, default: Hashable, **plans: Hashable) -> Any:
    """`function(plan, *operands)` with the plan of the platform on which the computation runs.

    The function is traced once for each distinct plan and must return the same shapes and types for all of them. Only the
    plan of the platform is lowered and compiled. `jax.jit`, `jax.grad`, `jax.vmap` and `jax.export` apply as usual.

    Args:
      function: from a plan and arrays to arrays.
      *operands: arrays, or trees of arrays.
      default: the plan of every platform that `plans` does not name.
      **plans: the plans of platforms, under their names in `jax.lax.platform_dependent`: cpu, tpu, cuda, rocm.

    Example:
      >>> import jax.numpy as jnp
      >>> float(by_platform(lambda factor, x: factor * x, jnp.ones(()), cpu=2.0, tpu=3.0, default=2.0)) in (2.0, 3.0)
      True
    """
    assumed = _ASSUMED.get()
    if assumed is not None:
        return function(plans.get(assumed, default), *operands)
    # Equal plans share one branch, which `platform_dependent` recognises by identity.
    branches = {plan: functools.partial(function, plan) for plan in (default, *plans.values())}
    if len(branches) == 1:
        return function(default, *operands)
    per_platform = {platform: branches[plan] for platform, plan in plans.items() if plan != default}
    return jax.lax.platform_dependent(*operands, default=branches[default], **per_platform)


def unavailable(like: Any, message: str) -> Any:
    """Arrays of the shapes and types of `like` that cannot be computed: lowering raises `ValueError(message)`.

    It is the branch of `by_platform` for platforms without an implementation.
    """
    leaves, tree = jax.tree.flatten(like)
    types = tuple(ShapedArray(x.shape, x.dtype) for x in leaves)
    return tree.unflatten(_unavailable_p.bind(types=types, message=message))


def _refuse(_, *, types: tuple, message: str) -> Any:
    raise ValueError(message)


_unavailable_p = Primitive("gequi_unavailable")
_unavailable_p.multiple_results = True
_unavailable_p.def_abstract_eval(lambda *, types, message: list(types))
mlir.register_lowering(_unavailable_p, _refuse)
