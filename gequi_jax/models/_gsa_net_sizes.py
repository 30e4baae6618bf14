"""How the maps of a GSA-Net shrink, checked when the network is built."""

from collections.abc import Sequence


def attention_windows(
    input_shape: tuple[int, ...],
    *,
    window_size: int | None,
    crops: Sequence[int],
    pool_after: Sequence[int],
    pool_lifting: bool,
    pool_input: bool,
    block_features: Sequence[int],
    allow_inequivariant: bool,
) -> list[int | None]:
    """The window of the lifting layer and of each block, from the sizes of the maps they see.

    Raises:
      ValueError: if the arguments do not fit each other or the image; the message names legal values.
    """
    spatial_shape = input_shape[:-1]
    if pool_input:
        spatial_shape = _pooled(spatial_shape, "the input", allow_inequivariant)
    if window_size is not None and window_size > min(spatial_shape):
        largest = min(spatial_shape) - 1 + min(spatial_shape) % 2
        raise ValueError(
            f"window_size: a window of side {window_size} is larger than images of shape {spatial_shape}; use an odd "
            f"side of at most {largest}, or None for global attention."
        )
    if len(block_features) != len(crops):
        raise ValueError(
            f"block_features: expected one number for each of the {len(crops)} blocks (crops has {len(crops)} entries); "
            f"got {len(block_features)}."
        )
    if any(not 0 <= block < len(crops) for block in pool_after):
        raise ValueError(
            f"pool_after: expected blocks from 0 to {len(crops) - 1}, counted from 0; got {tuple(pool_after)}."
        )
    windows = [window_size]
    if pool_lifting:
        spatial_shape = _pooled(spatial_shape, "the lifting layer", allow_inequivariant)
    for block, crop in enumerate(crops):
        windows.append(None if window_size is None else min(window_size, 2 * min(spatial_shape) - 1))
        spatial_shape = _cropped(spatial_shape, block, crop)
        if block in pool_after:
            spatial_shape = _pooled(spatial_shape, f"block {block}", allow_inequivariant)
    return windows


def _cropped(spatial_shape: tuple[int, ...], block: int, crop: int) -> tuple[int, ...]:
    if crop < 0 or 2 * crop >= min(spatial_shape):
        raise ValueError(
            f"crops: block {block} removes {crop} positions on every side of a map of shape {spatial_shape}, which leaves "
            f"nothing; use 0 to {(min(spatial_shape) - 1) // 2}, or larger images."
            if crop >= 0
            else f"crops: expected numbers of positions, 0 or more; got {crop} for block {block}."
        )
    return tuple(side - 2 * crop for side in spatial_shape)


def _pooled(spatial_shape: tuple[int, ...], where: str, allow_inequivariant: bool) -> tuple[int, ...]:
    odd = [side for side in spatial_shape if side % 2]
    if odd and (not allow_inequivariant or min(spatial_shape) < 2):
        raise ValueError(
            f"pool_after: pooling after {where} halves a map of shape {spatial_shape}, whose side {odd[0]} is odd; that "
            f"breaks equivariance. Sides that work here are {odd[0] - 1} and {odd[0] + 1}: crops remove two positions at "
            "a time and keep a side odd, so change input_shape, pool elsewhere, or give a crop before an earlier pooling."
        )
    return tuple(side // 2 for side in spatial_shape)
