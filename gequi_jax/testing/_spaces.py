"""The spaces that a function maps between, and the action on each."""

from typing import Any, Literal, get_args

from gequi_jax._checks import check_choice
from gequi_jax.actions import act_on_feature_map, act_on_grid

InputSpace = Literal["grid", "feature_map"]
OutputSpace = Literal["grid", "feature_map", "invariant"]

ACTIONS: dict[str, Any] = {
    "grid": act_on_grid,
    "feature_map": act_on_feature_map,
    "invariant": lambda element, y, *, group: y,
}


def check_input_space(input: str) -> None:
    """Checks the name of the space of an input.

    Raises:
      ValueError: if there is no such space.
    """
    check_choice("input", input, get_args(InputSpace))


def check_spaces(input: str, output: str) -> None:
    """Checks the names of the spaces that a function maps between.

    Raises:
      ValueError: if there is no such space.
    """
    check_input_space(input)
    check_choice("output", output, get_args(OutputSpace))
