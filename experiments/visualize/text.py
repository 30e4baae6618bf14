"""Numbers and group elements in captions and labels."""

import numpy as np

from gequi_jax import groups


def number(value: float) -> str:
    """Two decimals, or a power of ten where that would be 0."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-") if value < 0.005 else f"{value:.2f}"


def element_name(group: groups.FiniteGroup, element: int) -> str:
    """The rotation angle of an element, and whether it mirrors; of the cube, the axis that each axis of the result reads."""
    matrix = np.asarray(group.matrices[element])
    if len(matrix) == 3:
        return _axes_read(matrix)
    mirrored = np.linalg.det(matrix) < 0
    rotation = matrix @ np.diag([1.0, -1.0]) if mirrored else matrix
    angle = round(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])) % 360)
    return f"mirrored, {angle}°" if mirrored else f"{angle}°"


def _axes_read(matrix: np.ndarray) -> str:
    """As in "(c, -r, d)" of depth, rows and columns; the angle where an element of space does not permute the axes."""
    if not np.isin(matrix, (-1, 0, 1)).all():
        cosine = (np.sign(np.linalg.det(matrix)) * np.trace(matrix) - 1) / 2
        return f"{round(np.degrees(np.arccos(np.clip(cosine, -1, 1))))}°"
    names = "drc"
    read = [f"{'-' if row.min() < 0 else ''}{names[int(np.abs(row).argmax())]}" for row in matrix]
    return f"({', '.join(read)})"
