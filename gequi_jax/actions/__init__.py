"""How a group element acts on positions, images, feature maps and kernels: always (L_g f)(x) = f(g^-1 x)."""

from gequi_jax.actions._feature_maps import act_on_feature_map as act_on_feature_map
from gequi_jax.actions._fields import act_on_pseudoscalar_field as act_on_pseudoscalar_field
from gequi_jax.actions._fields import act_on_tensor_field as act_on_tensor_field
from gequi_jax.actions._fields import act_on_vector_field as act_on_vector_field
from gequi_jax.actions._grids import act_on_grid as act_on_grid
from gequi_jax.actions._grids import grid_preserving_elements as grid_preserving_elements
from gequi_jax.actions._kernels import transform_group_kernel as transform_group_kernel
from gequi_jax.actions._kernels import transform_kernel as transform_kernel
from gequi_jax.actions._poses import act_on_poses as act_on_poses
from gequi_jax.actions._positions import inverse_act_on_positions as inverse_act_on_positions
from gequi_jax.actions._positions import relative_positions as relative_positions
from gequi_jax.actions._positions import round_window as round_window
from gequi_jax.actions._positions import window_offsets as window_offsets
