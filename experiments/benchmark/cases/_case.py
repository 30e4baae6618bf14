"""A case: one setting in which several contenders do the same work."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from experiments.benchmark.programs import BACKWARD, FORWARD, Contender


@dataclasses.dataclass(frozen=True)
class Case:
    """One setting, in which all contenders do the same work.

    Attributes:
      section: what is compared.
      setting: the sizes.
      variables: the sizes that vary in the series to which this case belongs.
      contenders: by name; ratios are relative to the first.
      passes: what is run of each contender.
    """

    section: str
    setting: dict[str, Any]
    variables: tuple[str, ...]
    contenders: Mapping[str, Contender]
    passes: tuple[str, ...] = (FORWARD, BACKWARD)


def sweep(
    base: Mapping[str, Any], values: Mapping[str, Iterable[Any]], **overrides: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Settings that vary one size at a time; a setting that several series share comes once.

    Args:
      base: the sizes that are not varied.
      values: for each variable its values.
      **overrides: other base sizes for the series of one variable.

    Yields:
      A setting and the variables of the series to which it belongs.
    """
    settings: dict[tuple[tuple[str, Any], ...], list[str]] = {}
    for variable, sizes in values.items():
        for size in sizes:
            setting = {**base, **overrides.get(variable, {}), variable: size}
            settings.setdefault(tuple(setting.items()), []).append(variable)
    for setting, variables in settings.items():
        yield dict(setting), tuple(variables)
