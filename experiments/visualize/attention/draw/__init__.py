"""Draws attention maps, feature maps and the animation.

Reference: Romero et al. (2020), Figs. 7 to 11; Romero & Cordonnier (2021), Fig. 1.
"""

from experiments.visualize.attention.draw.animation import animate as animate
from experiments.visualize.attention.draw.attention import draw_attention as draw_attention
from experiments.visualize.attention.draw.downsampling import draw_downsampling as draw_downsampling
from experiments.visualize.attention.draw.features import draw_features as draw_features
