"""An equivariant linear map of the poses, one product of matrix and vector at a time."""

import numpy as np

from tests.reference.actions import find


def group_linear(group, x, kernel):
    """y(h) = sum_m W(h^-1 m)^T x(m); `x` is `[group, in]`, `kernel` `[group, in, out]`."""
    y = np.zeros((group.order, kernel.shape[-1]))
    for h in range(group.order):
        for m in range(group.order):
            pose = find(group, np.linalg.solve(group.matrices[h], group.matrices[m]))
            y[h] += x[m] @ kernel[pose]
    return y
