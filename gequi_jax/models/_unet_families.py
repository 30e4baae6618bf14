"""U-Nets for images and volumes, plain and with attention to the input of every convolution."""

from collections.abc import Callable
from functools import partial
from typing import Any

from gequi_jax.groups import FiniteGroup
from gequi_jax.models._family import Family
from gequi_jax.models._unet import UNet
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv


def _width(z2: int) -> Callable[[FiniteGroup], int]:
    """Widths that keep the parameters of Z2 networks: they grow as |H| times the square of the width."""
    return lambda group: max(1, round(z2 / group.order**0.5))


def _family(template: str, groups: tuple[str, ...], *, width: int, arguments: dict[str, Any], paper: str) -> Family:
    return Family(
        template=template,
        network=UNet,
        arguments=arguments,
        paper=paper,
        table=None,
        reported=dict.fromkeys(groups, (None, None)),
        output="grid",
        features=_width(width),
    )


_IMAGES = {"input_shape": (256, 256, 1), "num_classes": 2, "depth": 4}
_VOLUMES = {"input_shape": (32, 32, 32, 1), "num_classes": 2, "depth": 3}
_ATTENTIVE = {
    "lifting": partial(AttentiveLiftingConv, attention="input"),
    "conv": partial(AttentiveGroupConv, attention="input"),
}

FAMILIES = (
    _family("unet_{group}", ("z2", "p4", "p4m"), width=24, arguments=_IMAGES, paper="Ronneberger et al. (2015)"),
    _family(
        "unet_alpha_f_{group}",
        ("p4m",),
        width=24,
        arguments={**_IMAGES, **_ATTENTIVE},
        paper="Ronneberger et al. (2015), Romero et al. (2020)",
    ),
    _family(
        "volume_unet_{group}",
        ("z2", "octahedral"),
        width=16,
        arguments=_VOLUMES,
        paper="Çiçek et al. (2016)",
    ),
)
