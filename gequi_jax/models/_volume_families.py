"""Networks for volumes, sized for sides of 28 to 64.

Rule of equal cost: `features` counts the channels of a pose, and every network computes about as many channels in total,
so that feature maps take the same memory and group convolutions the same number of multiply-adds for every group. The
budget is the smallest that leaves a channel for each of 48 poses.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from gequi_jax.groups import FiniteGroup
from gequi_jax.models._family import Family
from gequi_jax.models._gsa_net import GSANet
from gequi_jax.models._resnet import ResNet
from gequi_jax.models._volume_cnn import VolumeCNN
from gequi_jax.nn import AttentiveGroupConv, PreNormSelfAttentionBlock

_PAPER = "gequi_jax"
_VOLUME = {"input_shape": (28, 28, 28, 1), "num_classes": 2}
_CHANNELS = 48
_NONE = (None, None)


def channels_of_a_pose(group: FiniteGroup, channels: int) -> int:
    """The share of each pose in a number of channels, at least 1."""
    return max(1, round(channels / group.order))


def _widths(*channels: int) -> Callable[[FiniteGroup], tuple[int, ...]]:
    return lambda group: tuple(channels_of_a_pose(group, total) for total in channels)


def _family(template: str, network: Any, reported: tuple[str, ...], **arguments: Any) -> Family:
    features = arguments.pop("features")
    return Family(
        template=template,
        network=network,
        arguments={**_VOLUME, **arguments},
        paper=_PAPER,
        table=None,
        reported=dict.fromkeys(reported, _NONE),
        features=features,
    )


_CNN = {
    "features": _widths(_CHANNELS, 2 * _CHANNELS),
    "layers_per_stage": (1, 3),
}

FAMILIES = (
    _family("volume_{group}_cnn", VolumeCNN, ("z2", "p4m", "octahedral", "full_octahedral"), **_CNN),
    _family(
        "volume_alpha_f_{group}_cnn",
        VolumeCNN,
        ("z2", "octahedral"),
        # The volume itself is not attended to: its maps would be eight times as large as any other.
        conv=partial(AttentiveGroupConv, attention="input", attention_kernel_size=3),
        **_CNN,
    ),
    _family(
        "volume_{group}_resnet",
        ResNet,
        ("z2", "octahedral"),
        features=_widths(2 * _CHANNELS, 4 * _CHANNELS),
        blocks_per_stage=2,
        bottleneck=True,
        halve_lifting=True,
    ),
    _family(
        "volume_{group}_sa",
        GSANet,
        ("z2", "octahedral"),
        features=lambda group: channels_of_a_pose(group, 2 * _CHANNELS),
        block=PreNormSelfAttentionBlock,
        crops=(0, 0),
        pool_input=True,
        pool_lifting=True,
        num_heads=2,
        qkv_features=16,
        window_size=3,
        attention_dropout_rate=0.0,
        value_dropout_rate=0.0,
    ),
)
