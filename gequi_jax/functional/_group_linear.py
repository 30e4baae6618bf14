"""Equivariant linear maps of the poses, block-diagonal in the group Fourier basis."""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gequi_jax._checks import check_group, check_group_axis
from gequi_jax._typing import Array, Float
from gequi_jax.functional._types import wide_type
from gequi_jax.groups import FiniteGroup, FourierBlock, fourier_blocks

# A transform of at most this many nonzero coefficients is written out as sums: they are fused with the copies that the
# products need and run up to twice as fast, but take longer to compile. Others are products with a small matrix.
_MAX_SUMMED_COEFFICIENTS = 512


def group_linear(
    x: Float[Array, "*batch group in_features"],
    kernel: Float[Array, "group in_features out_features"],
    *,
    group: FiniteGroup,
    precision: jax.lax.PrecisionLike = None,
) -> Float[Array, "*batch group out_features"]:
    """A linear map of all poses and channels that commutes with the group: a convolution over the group axis.

        y(h) = sum_m W(h^-1 m)^T x(m)

    Equivariant: (L_g x)(h) = x(g^-1 h) becomes (L_g y)(h). It equals `group_conv` with a window of one position. In the
    group Fourier basis the map is block-diagonal, so it takes sum_rho dim_rho^3 / endomorphism_dim_rho products of
    channels, in place of |H|^2: 12 in place of 64 for D_4, 64 in place of 576 for the rotations of the cube.

    Args:
      x: functions of the pose, `[..., group, in_features]`, such as feature maps.
      kernel: W, `[group, in_features, out_features]`.
      group: the group H.
      precision: as in `jax.lax.dot_general`.

    Returns:
      `[..., group, out_features]`.

    Raises:
      ValueError: if shapes do not fit.
    """
    _check_shapes(x, kernel, group)
    blocks = fourier_blocks(group)
    # XLA would compute what makes the input once for each Fourier coefficient, and the outputs once for each use.
    x = jax.lax.optimization_barrier(x)
    inputs = _analysis(x.reshape(-1, *x.shape[-2:]), blocks)
    matrices = _block_matrices(kernel, blocks)
    outputs = [jnp.matmul(rows, matrix, precision=precision) for rows, matrix in zip(inputs, matrices, strict=True)]
    return jax.lax.optimization_barrier(_synthesis(outputs, blocks)).reshape(*x.shape[:-1], kernel.shape[-1])


def _check_shapes(x: Array, kernel: Array, group: FiniteGroup) -> None:
    check_group(group)
    if kernel.ndim != 3 or kernel.shape[0] != group.order:
        raise ValueError(
            f"kernel: expected [group, in_features, out_features] with a group axis of size {group.order} for "
            f"{group.name}; got shape {kernel.shape}."
        )
    if x.ndim < 2:
        raise ValueError(f"input: expected an array [..., group, in_features]; got shape {x.shape}.")
    check_group_axis(x, group, axis=-2)
    if x.shape[-1] != kernel.shape[1]:
        raise ValueError(
            f"kernel: expected in_features {x.shape[-1]}, the channels of the input; got a kernel of shape {kernel.shape}."
        )


def _block_matrices(kernel: Array, blocks: Sequence[FourierBlock]) -> list[Array]:
    """The matrix `[features * in_features, features * out_features]` of each block."""
    order, in_features, out_features = kernel.shape
    coefficients = np.concatenate([block.kernel.reshape(order, -1) for block in blocks], axis=1)
    transformed = jnp.tensordot(
        jnp.asarray(coefficients.T, kernel.dtype), kernel.reshape(order, -1), 1, precision="highest"
    )
    sizes = [block.kernel.shape[1] for block in blocks]
    parts = jax.lax.split(transformed, [size**2 for size in sizes], axis=0)
    matrices = []
    for size, part in zip(sizes, parts, strict=True):
        by_feature = part.reshape(size, size, in_features, out_features).transpose(0, 2, 1, 3)
        matrices.append(by_feature.reshape(size * in_features, size * out_features))
    return matrices


def _analysis(tokens: Array, blocks: Sequence[FourierBlock]) -> list[Array]:
    """The Fourier coefficients, for each block `[token * rows, features * channels]`."""
    matrix = _analysis_matrix(blocks)
    if _is_summed(matrix):
        poses = _unstacked(tokens, axis=1)
        coefficients = jnp.stack([_combination(row, poses) for row in matrix], axis=1)
    else:
        coefficients = _product("ph,thc->tpc", matrix, tokens)
    parts = jax.lax.split(coefficients, [_num_coefficients(block) for block in blocks], axis=1)
    sizes = [block.analysis.shape[1] * tokens.shape[2] for block in blocks]
    return [part.reshape(-1, size) for part, size in zip(parts, sizes, strict=True)]


def _synthesis(outputs: Sequence[Array], blocks: Sequence[FourierBlock]) -> Array:
    """The functions of the pose `[token, group, channels]` from their coefficients."""
    matrix = _analysis_matrix(blocks)
    parts = [
        y.reshape(-1, _num_coefficients(block), y.shape[1] // block.analysis.shape[1])
        for y, block in zip(outputs, blocks, strict=True)
    ]
    if not _is_summed(matrix):
        return _product("ph,tpc->thc", matrix, jnp.concatenate(parts, axis=1))
    coefficients = [coefficient for part in parts for coefficient in _unstacked(part, axis=1)]
    return jnp.stack([_combination(column, coefficients) for column in matrix.T], axis=1)


def _analysis_matrix(blocks: Sequence[FourierBlock]) -> np.ndarray:
    return np.concatenate([block.analysis.reshape(-1, block.analysis.shape[-1]) for block in blocks])


def _num_coefficients(block: FourierBlock) -> int:
    return block.analysis.shape[0] * block.analysis.shape[1]


def _is_summed(matrix: np.ndarray) -> bool:
    return int(np.count_nonzero(matrix)) <= _MAX_SUMMED_COEFFICIENTS


def _unstacked(x: Array, *, axis: int) -> list[Array]:
    # A split has a concatenation for its transpose, where indexing has sums of padded arrays.
    return [jnp.squeeze(part, axis) for part in jax.lax.split(x, (1,) * x.shape[axis], axis=axis)]


def _product(subscripts: str, coefficients: np.ndarray, x: Array) -> Array:
    return jnp.einsum(subscripts, jnp.asarray(coefficients, x.dtype), x, precision="highest")


def _combination(coefficients: np.ndarray, arrays: Sequence[Array]) -> Array:
    """A linear combination that multiplies once for each size of coefficient: most are 0, 1 or -1.

    The sum is float32 or wider and rounded once: in narrow types the rounding would depend on the order of the poses.
    """
    dtype, wide = arrays[0].dtype, wide_type(arrays[0])
    arrays = [array.astype(wide) for array in arrays]
    sizes = np.abs(coefficients)
    parts = []
    for rounded in np.unique(np.round(sizes[sizes > 0], 12)).tolist():
        first, *rest = np.flatnonzero(np.abs(sizes - rounded) < 1e-11).tolist()
        size = float(sizes[first])
        part = arrays[first] if coefficients[first] > 0 else -arrays[first]
        for index in rest:
            part = part + arrays[index] if coefficients[index] > 0 else part - arrays[index]
        parts.append(part if size == 1 else part * size)
    return functools.reduce(operator.add, parts).astype(dtype)
