"""The backward pass of windowed self-attention for one head of one sample."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gequi_jax._typing import Array
from gequi_jax.functional.self_attention import _stages as stages
from gequi_jax.functional.self_attention._operands import Operands
from gequi_jax.functional.self_attention._windowed_forward import Statistics, encoding_scores
from gequi_jax.functional.self_attention._windowed_rows import Rows, pose_part


class _Block(NamedTuple):
    """The arrays of one block of rows."""

    first_row: Array
    query: Array
    out_gradient: Array  # [g, d, p]
    valid: Array
    seeds: Array | None
    statistics: Statistics


class _Pose(NamedTuple):
    """The arrays of one output pose."""

    position_encoding: Array
    pose_encoding: Array
    seeds: Array | None
    out_gradient: Array
    statistics: Statistics


class _PoseGradients(NamedTuple):
    """What one output pose contributes besides the gradient of the content."""

    attention: Array  # after dropout, [j, m, p]
    query_from_place: Array
    query_from_pose: Array
    position_encoding: Array
    pose_encoding: Array


def differentiate(
    rows: Rows, operands: Operands, seeds: Array | None, out_gradient: Array, statistics: Statistics
) -> Operands:
    """The gradients of the operands of a head.

    Args:
      rows, operands, seeds: those of the forward pass.
      out_gradient: the gradient of its output, `[g, d, *spatial]`.
      statistics: those that the forward pass returned.
    """
    query, key, value, position_encoding, pose_encoding = operands.widened()
    key, value = rows.pad(key), rows.pad(value)
    encodings = (position_encoding, pose_encoding)

    def differentiate_block(totals, arrays):
        block = _Block(*arrays)
        windows = (rows.windows(key, block.first_row), rows.windows(value, block.first_row))
        content_gradient, poses = _differentiate_poses(rows, block, windows, encodings)
        to_query = _query_gradient(rows, content_gradient, windows[0], poses)
        to_key = rows.run(stages.products_with_queries, _merge_keys(jnp.moveaxis(content_gradient, 2, 0)), block.query)
        to_value = rows.run(stages.products_with_queries, _merge_keys(poses.attention), block.out_gradient)
        totals = (
            rows.add_windows(totals[0], to_key, block.first_row),
            rows.add_windows(totals[1], to_value, block.first_row),
            totals[2] + poses.position_encoding,
            totals[3] + poses.pose_encoding,
        )
        return totals, to_query

    gradient = rows.split(out_gradient.astype(query.dtype))
    blocks = (
        rows.first_rows(),
        rows.split(query),
        gradient,
        rows.valid_blocks(),
        seeds,
        Statistics(*map(rows.split, statistics)),
    )
    zeros = tuple(jnp.zeros_like(x) for x in (key, value, *encodings))
    (to_key, to_value, *to_encodings), to_query = jax.lax.scan(differentiate_block, zeros, blocks)
    to_query = rows.join(to_query).reshape(query.shape)
    return Operands(to_query, rows.crop(to_key), rows.crop(to_value), *to_encodings)


def _differentiate_poses(
    rows: Rows, block: _Block, windows: tuple[Array, Array], encodings: tuple[Array, Array]
) -> tuple[Array, _PoseGradients]:
    """The gradient `[j, m, a, p]` of the content scores of a block, and the other gradients of every output pose."""
    key_windows, value_windows = windows
    content = rows.run(stages.content_scores, block.query, key_windows, block.valid)

    def differentiate_pose(content_gradient, arrays):
        scores, gradients = _differentiate_pose(rows, block.query, content, value_windows, _Pose(*arrays))
        return rows.run(stages.add, content_gradient, scores), gradients

    poses = (*encodings, block.seeds, block.out_gradient, block.statistics)
    content_gradient, gradients = jax.lax.scan(differentiate_pose, jnp.zeros_like(content), poses)
    summed = (x.sum(axis=0) for x in (gradients.query_from_place, gradients.query_from_pose))
    place, pose = summed
    return content_gradient, gradients._replace(query_from_place=place, query_from_pose=pose)


def _differentiate_pose(
    rows: Rows, query: Array, content: Array, value_windows: Array, pose: _Pose
) -> tuple[Array, _PoseGradients]:
    """The gradient of the scores of one output pose, `[j, m, a, p]`, and what follows from it."""
    run, inverse_total = rows.run, pose.statistics.inverse_total
    encoding = encoding_scores(rows, query, pose.position_encoding, pose.pose_encoding)
    weights = run(stages.softmax, content, *encoding, pose.statistics.largest, inverse_total)
    attention = run(stages.sum_over_queries, weights, jnp.ones_like(inverse_total))
    gradient = run(stages.attention_gradient, pose.out_gradient, value_windows, attention)
    kept = rows.kept(pose.seeds, attention.shape)
    gradient = rows.scaled(gradient, kept)
    scores = run(stages.score_gradient, weights, gradient, run(stages.mean_gradient, weights, gradient))
    by_place, by_pose = run(stages.sum_over_key_poses, scores), run(stages.sum_over_offsets, scores)
    first, last = query[:, : pose.position_encoding.shape[-1]], pose_part(query, pose.pose_encoding)
    return scores, _PoseGradients(
        attention=rows.scaled(attention, kept),
        query_from_place=rows.plan.einsum("jap,jd->adp", by_place, pose.position_encoding),
        query_from_pose=rows.plan.einsum("map,amd->adp", by_pose, pose.pose_encoding),
        position_encoding=rows.plan.einsum("jap,adp->jd", by_place, first),
        pose_encoding=rows.plan.einsum("map,adp->amd", by_pose, last),
    )


def _query_gradient(rows: Rows, content_gradient: Array, key_windows: Array, poses: _PoseGradients) -> Array:
    """The gradient `[a, d, p]` of the query of a block."""
    place, pose = poses.query_from_place, poses.query_from_pose
    products = rows.run(stages.products_with_keys, content_gradient, key_windows)
    gradient = rows.run(stages.sum_over_offsets, products)
    gradient = gradient.at[:, : place.shape[1]].add(place)
    return gradient.at[:, gradient.shape[1] - pose.shape[1] :].add(pose)


def _merge_keys(x: Array) -> Array:
    """`[a, k, p]` from `[a, j, m, p]`."""
    return x.reshape(x.shape[0], -1, *x.shape[3:])
