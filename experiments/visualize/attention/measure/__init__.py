"""Measures the attention of a trained network, and how far it is from equivariant.

Reference: Romero et al. (2020), Figs. 7 to 11; Romero & Cordonnier (2021), Fig. 1.
"""

from experiments.visualize.attention.measure.attention import Attention as Attention
from experiments.visualize.attention.measure.attention import measure_attention as measure_attention
from experiments.visualize.attention.measure.downsampling import Downsampling as Downsampling
from experiments.visualize.attention.measure.downsampling import compare_downsampling as compare_downsampling
from experiments.visualize.attention.measure.maps import LayerMaps as LayerMaps
from experiments.visualize.attention.measure.maps import MapError as MapError
from experiments.visualize.attention.measure.maps import frame_error as frame_error
from experiments.visualize.attention.measure.maps import gate_maps as gate_maps
from experiments.visualize.attention.measure.maps import map_error as map_error
from experiments.visualize.attention.measure.queries import Query as Query
from experiments.visualize.attention.measure.transforms import Transforms as Transforms
from experiments.visualize.attention.measure.transforms import rotated_frames as rotated_frames
from experiments.visualize.attention.measure.transforms import transform_image as transform_image
