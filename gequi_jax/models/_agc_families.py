"""The (attentive) group-convolutional networks of the paper's tables, at the paper's sizes.

The figures of Tab. 2 are those without augmentation. Networks with Z2 convolutions are baselines; those that the paper
does not tabulate have no figures here.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flax import nnx

from gequi_jax.groups import FiniteGroup
from gequi_jax.models._all_cnn import AllCNN
from gequi_jax.models._densenet import DenseNet
from gequi_jax.models._family import Family
from gequi_jax.models._p4_cnn import P4CNN
from gequi_jax.models._resnet import ResNet
from gequi_jax.nn import AttentiveGroupConv, AttentiveLiftingConv

_PAPER = "Romero et al. (2020)"
_ROTMNIST = {"input_shape": (28, 28, 1), "num_classes": 10}
_CIFAR10 = {"input_shape": (32, 32, 3), "num_classes": 10}
_PCAM = {"input_shape": (96, 96, 3), "num_classes": 2}


def _width(z2: int, by_order: Mapping[int, int] | None = None) -> Callable[[FiniteGroup], int]:
    """Widths that keep the parameters of Z2 networks: they grow as |H| times the square of the width."""
    published = by_order or {}
    return lambda group: published.get(group.order, max(1, round(z2 / group.order**0.5)))


def _widths(*z2: int) -> Callable[[FiniteGroup], tuple[int, ...]]:
    return lambda group: tuple(_width(width)(group) for width in z2)


def _attentive(attention: str, **options: Any) -> dict[str, Any]:
    return {
        # An image has few channels, and as many hidden units.
        "lifting": partial(AttentiveLiftingConv, attention=attention, reduction_ratio=1),
        "conv": partial(AttentiveGroupConv, attention=attention, **options),
    }


def _family(
    template: str,
    network: Callable[..., nnx.Module],
    table: str,
    width: Callable[[FiniteGroup], Any],
    word: str,
    reported: dict,
    **arguments: Any,
) -> Family:
    return Family(
        template=template.format(word=word, group="{group}"),
        network=network,
        arguments=arguments,
        paper=_PAPER,
        table=table,
        reported=reported,
        features=width,
    )


_rotmnist = partial(_family, "rotmnist_{word}{group}_cnn", P4CNN, "Tab. 1", _width(20), **_ROTMNIST)
_all_cnn = partial(_family, "cifar10_{word}{group}_all_cnn", AllCNN, "Tab. 2", _width(96, {8: 32}), **_CIFAR10)
_resnet44 = partial(_family, "cifar10_{word}{group}_resnet44", ResNet, "Tab. 2", _widths(32, 64, 128), **_CIFAR10)
_densenet = partial(_family, "pcam_{word}{group}_densenet", DenseNet, "Tab. 3", _width(26), **_PCAM)


def _attentive_densenet() -> dict[str, Any]:
    # The filters of spatial attention are spread over the larger maps and shrink with the smallest.
    conv = partial(AttentiveGroupConv, attention="input", hidden_features=2)
    return {
        "lifting": partial(AttentiveLiftingConv, attention="input", reduction_ratio=1, attention_kernel_dilation=4),
        "block_conv": (
            *(partial(conv, attention_kernel_dilation=dilation) for dilation in (4, 4, 3, 2)),
            partial(conv, attention_kernel_size=5),
        ),
        "transition_conv": tuple(partial(conv, attention_kernel_dilation=dilation) for dilation in (4, 4, 3, 1)),
        "readout_conv": partial(conv, attention_kernel_size=3),
    }


# Not in a table: a network that learns scikit-learn's 8x8 digits in a minute.
_DIGITS = Family(
    template="digits_alpha_f_{group}_cnn",
    network=AllCNN,
    arguments={
        "input_shape": (8, 8, 1),
        "num_classes": 10,
        "input_dropout_rate": 0.0,
        "dropout_rate": 0.1,
        **_attentive("input", attention_kernel_size=3),
        "lifting": partial(AttentiveLiftingConv, attention="input", reduction_ratio=1, attention_kernel_size=3),
    },
    paper=_PAPER,
    table=None,
    reported={"z2": (None, None), "p4": (None, None)},
    features=_width(12),
)

FAMILIES = (
    _DIGITS,
    _rotmnist("", {"z2": (None, None), "p4": (24_610, 97.952)}),
    _rotmnist("big11_", {"p4": (29_050, 98.004)}, features=11),
    _rotmnist("big15_", {"p4": (50_420, 98.152)}, features=15),
    _rotmnist("big19_", {"p4": (77_540, 98.204)}, features=19),
    _rotmnist("alpha_", {"p4": (73_130, 98.304)}, **_attentive("full")),
    _rotmnist("alpha_ch_", {"p4": (48_630, 98.175)}, **_attentive("channel")),
    _rotmnist("alpha_sp_", {"p4": (49_110, 98.239)}, **_attentive("spatial")),
    _rotmnist("alpha_rh_", {"p4": (24_850, 98.02)}, **_attentive("rh")),
    _rotmnist(
        "alpha_f_",
        {"p4": (29_460, 98.205)},
        **{
            **_attentive("input"),
            "lifting": partial(AttentiveLiftingConv, attention="input", reduction_ratio=1, attention_kernel_dilation=4),
        },
    ),
    _all_cnn("", {"z2": (None, None), "p4": (1_370_000, 90.68), "p4m": (1_220_000, 92.39)}),
    _all_cnn(
        "alpha_f_",
        {"p4": (1_400_000, 91.2), "p4m": (1_250_000, 93.07)},
        **_attentive("input", reduction_ratio=16),
    ),
    # The paper's network of 72 GB, which it could not train.
    _all_cnn("alpha_", {"p4": (None, None)}, **_attentive("full", reduction_ratio=16)),
    # Not in the table, but in the published code.
    _all_cnn("alpha_ch_", {}, **_attentive("channel", reduction_ratio=16)),
    _all_cnn("alpha_sp_", {}, **_attentive("spatial")),
    _resnet44("", {"z2": (None, None), "p4m": (2_620_000, 84.28)}),
    _resnet44("alpha_f_", {"p4m": (2_700_000, 89.18)}, **_attentive("input", hidden_features=2)),
    _densenet("", {"z2": (130_600, 84.07), "p4": (129_650, 87.55), "p4m": (124_210, 88.36)}),
    _densenet("alpha_f_", {"p4": (140_450, 88.66), "p4m": (141_220, 89.12)}, **_attentive_densenet()),
)
