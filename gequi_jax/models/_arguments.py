"""Constructor arguments as plain data, so that a file of weights says how to build its network.

Numbers, words and sequences stay what they are. A group, a type and a public name of this package, such as
`gequi_jax.nn.CoordinateMLP`, become a dictionary with one key that says what it is. Reading a file can only look up
public names of this package, so it runs no code from the file. Initialisers are left out: the weights are in the file.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax import actions, functional, nn
from gequi_jax.groups import FiniteGroup

_PACKAGES = {"actions": actions, "functional": functional, "nn": nn}


class NotPlainError(ValueError):
    """An argument that has no form as plain data."""


def encoded(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The arguments as plain data, without initialisers, and the names of those that have no such form.

    Args:
      arguments: keyword arguments of a constructor.
    """
    plain, refused = {}, []
    for name, value in arguments.items():
        if not name.endswith("_init"):
            try:
                plain[name] = _encode(value)
            except NotPlainError:
                refused.append(name)
    return plain, refused


def decoded(plain: Any) -> Any:
    """The inverse of `encoded`, for a dictionary of arguments or one value; sequences become tuples.

    Raises:
      ValueError: if the data names something that this package does not have.
    """
    if isinstance(plain, list):
        return tuple(decoded(entry) for entry in plain)
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"group": {"name": name, "matrices": matrices}}:
            return FiniteGroup(matrices, name=name)
        case {"dtype": name}:
            return jnp.dtype(name)
        case {"public": name}:
            return _public(name)
        case {"partial": name, "arguments": arguments}:
            return functools.partial(_public(name), **decoded_arguments(arguments))
        case {"instance": name, "arguments": arguments}:
            return _public(name)(**decoded_arguments(arguments))
    raise ValueError(f"arguments: expected a group, a type or a public name of gequi_jax; got {plain!r}.")


def decoded_arguments(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments from their plain form.

    Raises:
      ValueError: as `decoded`.
    """
    return {name: decoded(value) for name, value in plain.items()}


def _encode(value: Any) -> Any:
    if isinstance(value, FiniteGroup):
        return {"group": {"name": value.name, "matrices": value.matrices.tolist()}}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, jax.lax.Precision):
        return value.name.lower()
    if _is_dtype(value):
        return {"dtype": jnp.dtype(value).name}
    if isinstance(value, Sequence):
        return [_encode(entry) for entry in value]
    return _encode_object(value)


def _encode_object(value: Any) -> dict[str, Any]:
    if isinstance(value, functools.partial) and not value.args:
        arguments, refused = encoded(value.keywords)
        if not refused:
            return {"partial": _public_name(value.func), "arguments": arguments}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            "instance": _public_name(type(value)),
            "arguments": {name: _encode(entry) for name, entry in fields.items()},
        }
    return {"public": _public_name(value)}


def _is_dtype(value: Any) -> bool:
    try:
        return isinstance(value, np.dtype | type) and jnp.dtype(value) != np.dtype(object)
    except TypeError:
        return False


def _public_name(value: Any) -> str:
    name = getattr(value, "__name__", "")
    for package, module in _PACKAGES.items():
        if name and getattr(module, name, None) is value:
            return f"{package}.{name}"
    raise NotPlainError(f"{value!r} is no public name of gequi_jax")


def _public(name: str) -> Any:
    package, _, attribute = str(name).partition(".")
    value = getattr(_PACKAGES.get(package), attribute, None) if not attribute.startswith("_") else None
    if not callable(value):
        raise ValueError(f"arguments: this version of gequi_jax has no public name {name!r}.")
    return value
