"""Fields of vectors and tensors: their transformation, their readout and their lifting, one position at a time."""

import numpy as np

from tests.reference.actions import positions


def act_on_field(matrix, x, rank):
    """g v(g^-1 x), or g T(g^-1 x) g^T; `x` is `[*spatial, channels, dim, (dim)]` on a square grid."""
    spatial_shape = x.shape[: len(matrix)]
    centre = (np.asarray(spatial_shape) - 1) / 2
    out = np.zeros_like(x)
    for index, position in positions(spatial_shape):
        source = tuple(np.round(np.linalg.solve(matrix, position) + centre).astype(int))
        for channel, value in enumerate(x[source]):
            out[index][channel] = matrix @ value if rank == 1 else matrix @ value @ matrix.T
    return out


def vector_readout(group, x, kernel):
    """v_o = sum_h sum_c f_c(h) h w_co; `x` is `[positions, group, in]`, `kernel` `[in, out, dim]`."""
    out = np.zeros((len(x), kernel.shape[1], group.dim))
    for i, h, c, o in np.ndindex(*x.shape, kernel.shape[1]):
        out[i, o] += x[i, h, c] * (group.matrices[h] @ kernel[c, o])
    return out


def tensor_readout(group, x, kernel):
    """T_o = sum_h sum_c f_c(h) h S_co h^T; `kernel` is `[in, out, dim, dim]`."""
    out = np.zeros((len(x), kernel.shape[1], group.dim, group.dim))
    for i, h, c, o in np.ndindex(*x.shape, kernel.shape[1]):
        symmetric = (kernel[c, o] + kernel[c, o].T) / 2
        out[i, o] += x[i, h, c] * (group.matrices[h] @ symmetric @ group.matrices[h].T)
    return out


def lift_vectors(group, x):
    """f_ci(h) = (h^-1 v_c)_i; `x` is `[positions, channels, dim]`."""
    out = np.zeros((len(x), group.order, *x.shape[1:]))
    for i, h, c in np.ndindex(len(x), group.order, x.shape[1]):
        out[i, h, c] = np.linalg.solve(group.matrices[h], x[i, c])
    return out.reshape(len(x), group.order, -1)


def lift_tensors(group, x):
    """f_cij(h) = (h^-1 T_c h^-T)_ij; `x` is `[positions, channels, dim, dim]`."""
    out = np.zeros((len(x), group.order, *x.shape[1:]))
    for i, h, c in np.ndindex(len(x), group.order, x.shape[1]):
        inverse = np.linalg.inv(group.matrices[h])
        out[i, h, c] = inverse @ x[i, c] @ inverse.T
    return out.reshape(len(x), group.order, -1)
