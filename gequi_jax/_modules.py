"""Networks with some of their layers replaced."""

from collections.abc import Callable
from typing import Any

from flax import nnx


def with_layers_replaced(module: nnx.Module, replace: Callable[[Any], Any]) -> Any:
    """A module in which every layer has been replaced, from the outermost modules to the innermost.

    Args:
      module: a module, which is changed.
      replace: from a module to its replacement, or to None for a module that stays and whose children are visited.
    """
    replacement = replace(module)
    if replacement is not None:
        return replacement
    for name, value in list(vars(module).items()):
        if isinstance(value, nnx.List):
            entries = (with_layers_replaced(e, replace) if isinstance(e, nnx.Module) else e for e in value)
            setattr(module, name, nnx.List(entries))
        elif isinstance(value, nnx.Module):
            setattr(module, name, with_layers_replaced(value, replace))
    return module
