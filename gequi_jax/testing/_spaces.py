"""The spaces that a function maps between, and the action on each."""

from typing import Any, Literal, get_args

from gequi_jax._checks import check_choice
from gequi_jax.actions import (
    act_on_feature_map,
    act_on_grid,
    act_on_pseudoscalar_field,
    act_on_tensor_field,
    act_on_vector_field,
    grid_preserving_elements,
)
from gequi_jax.groups import FiniteGroup

InputSpace = Literal["grid", "feature_map", "vectors", "tensors", "pseudoscalars"]
OutputSpace = Literal["grid", "feature_map", "vectors", "tensors", "pseudoscalars", "class_map", "invariant"]


def _act_on_class_map(element: int, y: Any, *, group: FiniteGroup) -> Any:
    if element not in grid_preserving_elements(group):
        raise ValueError(
            f"output: element {element} of {group.name} does not map the grid to itself, and classes cannot be "
            "interpolated; give elements=grid_preserving_elements(group)."
        )
    return act_on_grid(element, y[..., None], group=group)[..., 0]


ACTIONS: dict[str, Any] = {
    "grid": act_on_grid,
    "feature_map": act_on_feature_map,
    "vectors": act_on_vector_field,
    "tensors": act_on_tensor_field,
    "pseudoscalars": act_on_pseudoscalar_field,
    "class_map": _act_on_class_map,
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
