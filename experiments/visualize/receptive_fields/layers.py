"""Untrained self-attention layers to measure without a run."""

from typing import Any

import jax
from flax import nnx

from experiments.visualize.seeding import random_streams
from gequi_jax import groups, nn


class UntrainedLayers(nnx.Module):
    """Lifting and group self-attention with a smooth encoding, and weights for attention that is far from uniform."""

    def __init__(self, group: groups.FiniteGroup, seed: int):
        options: dict[str, Any] = {
            "group": group,
            "num_heads": 4,
            "window_size": 7,
            "position_encoding": nn.FourierEncoding,
            "kernel_init": nnx.initializers.variance_scaling(9.0, "fan_in", "normal"),
            "rngs": random_streams(seed),
        }
        self.lifting = nn.LiftingSelfAttention(1, 8, qkv_features=24, **options)
        self.attention = nn.GroupSelfAttention(8, 8, qkv_features=36, **options)

    def __call__(self, images: jax.Array) -> jax.Array:
        return self.attention(self.lifting(images))
