"""Equivariant operations as pure functions of arrays: no parameters, no state, no Flax."""

from gequi_jax.functional._conv import group_conv as group_conv
from gequi_jax.functional._conv import lifting_conv as lifting_conv
from gequi_jax.functional._pooling import global_spatial_pool as global_spatial_pool
from gequi_jax.functional._pooling import group_pool as group_pool
from gequi_jax.functional._pooling import spatial_pool as spatial_pool
from gequi_jax.functional._pose_index import PoseIndex as PoseIndex
from gequi_jax.functional._pose_index import ge_vit_pose as ge_vit_pose
from gequi_jax.functional._pose_index import is_invariant as is_invariant
from gequi_jax.functional._pose_index import key_pose as key_pose
from gequi_jax.functional._pose_index import printed_pose as printed_pose
from gequi_jax.functional._pose_index import published_pose as published_pose
from gequi_jax.functional._pose_index import query_and_key_pose as query_and_key_pose
from gequi_jax.functional._pose_index import relative_pose as relative_pose
from gequi_jax.functional._position_encoding import transformed_position_encodings as transformed_position_encodings
from gequi_jax.functional._self_attention import group_self_attention as group_self_attention
from gequi_jax.functional._self_attention import lifting_self_attention as lifting_self_attention
