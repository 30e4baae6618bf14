"""Self-attention: the operations, their probabilities, their encodings, and their forms on the dilation group."""

from gequi_jax.functional.self_attention._dilation_attention import HAAR_WEIGHTS as HAAR_WEIGHTS
from gequi_jax.functional.self_attention._dilation_attention import HaarWeights as HaarWeights
from gequi_jax.functional.self_attention._dilation_attention import group_dilation_attention as group_dilation_attention
from gequi_jax.functional.self_attention._dilation_attention import (
    lifting_dilation_attention as lifting_dilation_attention,
)
from gequi_jax.functional.self_attention._frame_attention import DotProductImplementation as DotProductImplementation
from gequi_jax.functional.self_attention._frame_attention import frame_attention as frame_attention
from gequi_jax.functional.self_attention._frame_attention import frame_self_attention as frame_self_attention
from gequi_jax.functional.self_attention._implementations import Implementation as Implementation
from gequi_jax.functional.self_attention._pose_index import PoseIndex as PoseIndex
from gequi_jax.functional.self_attention._pose_index import ge_vit_pose as ge_vit_pose
from gequi_jax.functional.self_attention._pose_index import is_invariant as is_invariant
from gequi_jax.functional.self_attention._pose_index import key_pose as key_pose
from gequi_jax.functional.self_attention._pose_index import printed_pose as printed_pose
from gequi_jax.functional.self_attention._pose_index import published_pose as published_pose
from gequi_jax.functional.self_attention._pose_index import query_and_key_pose as query_and_key_pose
from gequi_jax.functional.self_attention._pose_index import relative_pose as relative_pose
from gequi_jax.functional.self_attention._position_encoding import (
    transformed_position_encodings as transformed_position_encodings,
)
from gequi_jax.functional.self_attention._probabilities import (
    group_self_attention_probabilities as group_self_attention_probabilities,
)
from gequi_jax.functional.self_attention._probabilities import (
    lifting_self_attention_probabilities as lifting_self_attention_probabilities,
)
from gequi_jax.functional.self_attention._rotary import rotary_encoding as rotary_encoding
from gequi_jax.functional.self_attention._self_attention import group_self_attention as group_self_attention
from gequi_jax.functional.self_attention._self_attention import lifting_self_attention as lifting_self_attention
