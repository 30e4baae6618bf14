"""Measures what a rotation by an angle that the grid does not have costs a layer, and the kernel or encoding inside it.

Reference: Romero & Cordonnier (2021), Sec. 5.1 and Fig. 2.
"""

from experiments.visualize.steerability.measure.errors import NUM_SEEDS as NUM_SEEDS
from experiments.visualize.steerability.measure.errors import WINDOW_SIZES as WINDOW_SIZES
from experiments.visualize.steerability.measure.errors import LayerError as LayerError
from experiments.visualize.steerability.measure.errors import centre_error as centre_error
from experiments.visualize.steerability.measure.errors import centre_of_output as centre_of_output
from experiments.visualize.steerability.measure.errors import layer_errors as layer_errors
from experiments.visualize.steerability.measure.layers import LAYERS as LAYERS
from experiments.visualize.steerability.measure.layers import SMOOTH_KERNEL as SMOOTH_KERNEL
from experiments.visualize.steerability.measure.layers import convolution as convolution
from experiments.visualize.steerability.measure.layers import smooth_images as smooth_images
from experiments.visualize.steerability.measure.rotations import Rotation as Rotation
from experiments.visualize.steerability.measure.rotations import rotations as rotations
