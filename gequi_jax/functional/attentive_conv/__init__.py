"""Attentive convolutions: the convolutions, the attention maps, and the operators that compute the maps."""

from gequi_jax.functional.attentive_conv._attention_maps import PoseAction as PoseAction
from gequi_jax.functional.attentive_conv._attention_maps import Statistic as Statistic
from gequi_jax.functional.attentive_conv._attention_maps import channel_attention as channel_attention
from gequi_jax.functional.attentive_conv._attention_maps import input_channel_attention as input_channel_attention
from gequi_jax.functional.attentive_conv._attention_maps import input_pose_attention as input_pose_attention
from gequi_jax.functional.attentive_conv._attention_maps import input_spatial_attention as input_spatial_attention
from gequi_jax.functional.attentive_conv._attention_maps import regular_action as regular_action
from gequi_jax.functional.attentive_conv._attention_maps import spatial_attention as spatial_attention
from gequi_jax.functional.attentive_conv._attentive_conv import attentive_group_conv as attentive_group_conv
from gequi_jax.functional.attentive_conv._attentive_conv import attentive_lifting_conv as attentive_lifting_conv
from gequi_jax.functional.attentive_conv._operators import AttentionOperator as AttentionOperator
from gequi_jax.functional.attentive_conv._operators import Maps as Maps
from gequi_jax.functional.attentive_conv._operators import ResponseAttention as ResponseAttention
from gequi_jax.functional.attentive_conv._operators import as_maps as as_maps
