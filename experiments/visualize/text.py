"""Numbers and group elements in captions and labels."""

import numpy as np

from gequi_jax import groups


def number(value: float) -> str:
    """Two decimals, or a power of ten where that would be 0."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-") if value < 0.005 else f"{value:.2f}"


def element_name(group: groups.FiniteGroup, element: int) -> str:
    """The rotation angle of an element of a planar group, and whether it mirrors."""
    matrix = np.asarray(group.matrices[element])
    mirrored = np.linalg.det(matrix) < 0
    rotation = matrix @ np.diag([1.0, -1.0]) if mirrored else matrix
    angle = round(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])) % 360)
    return f"mirrored, {angle}°" if mirrored else f"{angle}°"
