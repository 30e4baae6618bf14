"""Checks the shapes and types that the annotations of arrays promise, in every call that a test makes."""

import types
import typing
from typing import Any

import numpy as np
from beartype import beartype
from jaxtyping import AbstractArray


def check_arrays(function: Any) -> Any:
    """The type checker for `jaxtyping.install_import_hook`: beartype for annotations that contain an array.

    Other annotations are checked by pyright. Tests break them on purpose, to read the messages of the library.
    """
    hints = function.__annotations__
    function.__annotations__ = {name: or_numpy(hint) for name, hint in hints.items() if contains_array(hint)}
    return beartype(function) if function.__annotations__ else function


def contains_array(hint: Any) -> bool:
    """Whether an annotation is that of an array with a shape, or contains one."""
    return is_array(hint) or any(contains_array(part) for part in typing.get_args(hint))


def or_numpy(hint: Any) -> Any:
    """The annotation with NumPy arrays in place of JAX arrays allowed, which JAX accepts everywhere."""
    if is_array(hint):
        return hint.dtype[hint.array_type | np.ndarray, hint.dim_str]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.Union[tuple(or_numpy(part) for part in typing.get_args(hint))]  # noqa: UP007
    return hint


def is_array(hint: Any) -> bool:
    """Whether an annotation is that of an array with a shape."""
    return isinstance(hint, type) and issubclass(hint, AbstractArray)
