"""The GSA-Nets of the paper's tables, at the paper's sizes."""

from typing import Any

from flax import nnx

from gequi_jax.models._family import Family
from gequi_jax.models._gsa_net import GSANet

_PAPER = "Romero & Cordonnier (2021)"


def _gsa_net(template: str, reported: dict, *, table: str | None = "Tab. 2", **arguments: Any) -> Family:
    return Family(template=template, network=GSANet, arguments=arguments, paper=_PAPER, table=table, reported=reported)


FAMILIES = (
    _gsa_net(
        "digits_{group}_sa",
        {"z2": (None, None), "r4": (None, None)},
        table=None,
        input_shape=(8, 8, 1),
        num_classes=10,
        features=16,
        crops=(0, 0, 0),
        pool_after=(0,),
        num_heads=4,
        window_size=3,
        attention_dropout_rate=0.0,
        value_dropout_rate=0.0,
    ),
    _gsa_net(
        "rotmnist_{group}_sa",
        {
            "z2": (44_670, 96.37),
            "r4": (44_670, 97.46),
            "r8": (44_670, 97.90),
            "r12": (44_670, 97.97),
            "r16": (44_670, 97.66),
        },
        input_shape=(28, 28, 1),
        num_classes=10,
        features=20,
        crops=(2, 0, 2, 1, 1),
        pool_after=(1,),
    ),
    _gsa_net(
        "cifar10_{group}_sa",
        {"z2": (2_990_000, 82.3), "z2m": (2_990_000, 83.72)},
        input_shape=(32, 32, 3),
        num_classes=10,
        features=96,
        block_features=(96, 96, 192, 192, 192, 192),
        crops=(0, 0, 0, 0, 0, 0),
        pool_after=(1, 3),
        normalize_between=True,
        input_dropout_rate=0.3,
        pool_dropout_rate=0.2,
        # An eighth of the published deviation. With it, wide layers of sharp attention magnify round-off.
        query_init=nnx.initializers.variance_scaling(2.0 / 64, "fan_in", "normal"),
    ),
    _gsa_net(
        "pcam_{group}_sa",
        {
            "z2": (205_660, 83.04),
            "r4": (205_660, 83.44),
            "r8": (205_660, 83.58),
            "r4m": (205_660, 84.76),
        },
        input_shape=(96, 96, 3),
        num_classes=2,
        features=12,
        block_features=(24, 48, 48, 96),
        # The published third crop is 1; it leaves 7 positions to the last pooling, which then drops one.
        crops=(0, 2, 2, 1),
        pool_lifting=True,
        pool_after=(0, 2, 3),
        normalize_between=True,
    ),
)
