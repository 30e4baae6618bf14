"""The forward pass of windowed self-attention for one head of one sample."""

from typing import NamedTuple

import jax

from gequi_jax._typing import Array
from gequi_jax.functional._loops import map_on_all_cores
from gequi_jax.functional.self_attention import _stages as stages
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._windowed_rows import Rows, pose_part


class Statistics(NamedTuple):
    """The largest score of each query and the inverse of the sum of its weights: `[g, a, positions]`, or of a block."""

    largest: Array
    inverse_total: Array


def attend(rows: Rows, operands: Operands, seeds: Array | None) -> tuple[Array, Statistics]:
    """The output `[g, d, positions]` of a head, and what the backward pass needs besides the operands."""
    query, key, value, position_encoding, pose_encoding = operands.widened()
    key, value = rows.pad(key), rows.pad(value)

    def attend_block(_, block):
        first_row, query, valid, seeds = block
        content = rows.run(stages.content_scores, query, rows.windows(key, first_row), valid)
        value_windows = rows.windows(value, first_row)

        def attend_pose(pose):
            return _attend_pose(rows, query, content, value_windows, *pose)

        over_poses = map_on_all_cores if rows.plan.separate else jax.lax.map
        return None, over_poses(attend_pose, (position_encoding, pose_encoding, seeds))

    blocks = (rows.first_rows(), rows.split(query), rows.valid_blocks(), seeds)
    out, statistics = jax.lax.scan(attend_block, None, blocks)[1]
    return rows.join(out), Statistics(*(rows.join(x) for x in statistics))


def _attend_pose(
    rows: Rows,
    query: Array,
    content: Array,
    value_windows: Array,
    position_encoding: Array,
    pose_encoding: Array,
    seeds: Array | None,
) -> tuple[Array, Statistics]:
    """The output `[d, p]` of one output pose of a block, and its statistics `[a, p]`."""
    scores = rows.run(stages.sum_of_scores, content, *encoding_scores(rows, query, position_encoding, pose_encoding))
    largest = rows.run(stages.largest, scores)
    weights = rows.run(stages.exponentials, scores, largest)
    inverse_total = rows.run(stages.inverse_of_total, weights)
    attention = rows.run(stages.sum_over_queries, weights, inverse_total)
    attention = rows.scaled(attention, rows.kept(seeds, attention.shape))
    products = rows.run(stages.products_with_values, attention, value_windows)
    return rows.run(stages.sum_over_offsets, products), Statistics(largest, inverse_total)


def encoding_scores(rows: Rows, query: Array, position_encoding: Array, pose_encoding: Array) -> tuple[Array, Array]:
    """The scores of place `[j, a, p]` and of pose `[m, a, p]` for one output pose."""
    place = rows.run(stages.place_scores, query, position_encoding)
    return place, rows.run(stages.pose_scores, pose_part(query, pose_encoding), pose_encoding)
