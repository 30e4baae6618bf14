"""Vision transformers at the widths of ViT-Ti, ViT-S and ViT-B, for any group.

Every network of a size has about as many numbers for each position, so that networks of a size take the same memory and
as many products in attention; a group makes the linear maps cheaper, and has fewer parameters.
"""

import functools

from gequi_jax.groups import FiniteGroup
from gequi_jax.models._family import Family
from gequi_jax.models._vision_transformer import VisionTransformer
from gequi_jax.models._vit_sizes import features_of_a_pose

_WIDTHS = {"tiny": 192, "small": 384, "base": 768}
_PAPER = "Dosovitskiy et al. (2021); Islam et al. (2025)"


def _features(group: FiniteGroup, total: int) -> int:
    return features_of_a_pose(total, group)


def _family(
    size: str, groups: tuple[str, ...], input_shape: tuple[int, ...], num_classes: int, patch_size: int
) -> Family:
    return Family(
        template=f"vit_{size}_{{group}}",
        network=VisionTransformer,
        arguments={
            "input_shape": input_shape,
            "num_classes": num_classes,
            "patch_size": patch_size,
            "depths": (12,),
        },
        paper=_PAPER,
        table=None,
        reported=dict.fromkeys(groups, (None, None)),
        features=functools.partial(_features, total=_WIDTHS[size]),
    )


# Digits: patches of 4 positions that overlap, attention in windows on 14x14 positions, then among all of 7x7.
_ROTMNIST = Family(
    template="rotmnist_vit_{group}",
    network=VisionTransformer,
    arguments={
        "input_shape": (28, 28, 1),
        "num_classes": 10,
        "patch_size": 4,
        "patch_strides": 2,
        "depths": (2, 3),
        "num_heads": 2,
        "window_size": (5, None),
        "drop_path_rate": 0.1,
    },
    paper=_PAPER,
    table=None,
    reported=dict.fromkeys(("z2", "p4"), (None, None)),
    features=functools.partial(_features, total=64),
)

FAMILIES = (
    _ROTMNIST,
    _family("tiny", ("z2", "p4", "p4m"), (224, 224, 3), 1000, 16),
    _family("small", ("z2", "p4m"), (224, 224, 3), 1000, 16),
    _family("base", ("z2", "p4m"), (224, 224, 3), 1000, 16),
    # The same names with a group of three dimensions are networks for volumes.
    _family("tiny", ("octahedral",), (64, 64, 64, 1), 2, 8),
    _family("small", (), (64, 64, 64, 1), 2, 8),
    _family("base", (), (64, 64, 64, 1), 2, 8),
)
