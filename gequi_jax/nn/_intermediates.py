"""Attention as intermediates of NNX, computed only inside `nnx.capture`."""

from flax import nnx


def are_captured(module: nnx.Module) -> bool:
    """Whether a call of the module runs inside `nnx.capture(..., nnx.Intermediate)`, which keeps what it sows.

    NNX says so by an attribute that it sets on every module for the time of the call. Sowing without it would warn, and
    leave arrays in the module. Perturbations, a subclass, are not asked for here.
    """
    return any(type(variable) is nnx.Intermediate for variable in getattr(module, "__captures__", ()))
