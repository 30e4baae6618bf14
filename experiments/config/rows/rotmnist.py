"""Rotated MNIST: 10,000 images for training, 2,000 for validation, 50,000 for testing.

python -m experiments.main --config rotmnist:r4_sa
"""

from collections.abc import Mapping
from typing import Any

from experiments.config.rows._row import HELD_OUT, PUBLISHED_ON_TEST, Row

_SHARED = {
    "dataset": "rotmnist",
    "num_validation": 2_000,
    "normalization": "mnist",
    "augmentation": (),
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "schedule": "constant",
    "warmup_epochs": 0.0,
    "eval_batch_size": 500,
}


def _self_attention(group: str, accuracy: str) -> Row:
    """Settings of Romero & Cordonnier (2021), App. F.1. They train in mixed precision to save memory; not so here."""
    settings = _SHARED | {
        "model": f"rotmnist_{group}_sa",
        "z2_model": "rotmnist_z2_sa",
        "batch_size": 8,
        "num_epochs": 300,
    }
    title = f"{group.upper()}_SA on rotated MNIST. Romero & Cordonnier (2021), Tab. 2; settings of App. F.1"
    return Row(title, f"{accuracy} % test accuracy, 44.67K parameters", settings, PUBLISHED_ON_TEST)


def _window(size: int | None, accuracy: str) -> Row:
    """The study of the window size. A window of the whole image, 28x28, is global attention here."""
    settings = {**_self_attention("r4", "").settings, "model_overrides": {"window_size": size}}
    side = size or 28
    title = (
        f"R4_SA with {side}x{side} windows on rotated MNIST. Romero & Cordonnier (2021), Tab. 1; settings of App. F.1"
    )
    return Row(title, f"{accuracy} % test accuracy", settings, PUBLISHED_ON_TEST)


def _convolution(model: str, name: str, error: str, parameters: str) -> Row:
    """Settings of Romero et al. (2020), App. B.2, with five seeds as in Tab. 1. The networks contain the dropout of 0.3."""
    title = f"{name}-p4-CNN on rotated MNIST. Romero et al. (2020), Tab. 1; settings of App. B.2"
    result = f"{error} % test error over 5 seeds, {parameters}K parameters"
    return Row(title.replace("p4-p4", "p4"), result, _convolution_settings(model), PUBLISHED_ON_TEST)


def _convolution_settings(model: str) -> dict[str, Any]:
    return _SHARED | {
        "model": f"rotmnist_{model}",
        "z2_model": "rotmnist_z2_cnn",
        "batch_size": 128,
        "num_epochs": 100,
        "num_seeds": 5,
    }


_Z2_CNN = Row(
    "Z2-CNN on rotated MNIST. Romero & Cordonnier (2021), Tab. 2, quoting Cohen & Welling (2016)",
    "94.97 % test accuracy, 21.75K parameters",
    _convolution_settings("z2_cnn"),
    "Trained here with the settings of the p4-CNN. This run selects the epoch on the validation split.",
)

# Training of our own: turned images, a cosine, an average of the weights.
_RECIPE = {
    "augmentation": ("random_rotation",),
    "batch_size": 64,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "weight_decay": 0.02,
    "schedule": "cosine",
    "warmup_epochs": 5.0,
    "gradient_clip": 1.0,
    "label_smoothing": 0.1,
    "ema_decay": 0.998,
}

_Z2_CNN_TURNED = Row(
    "Z2-CNN on rotated MNIST, with each image of a batch turned by a random angle, of no table",
    "no number",
    {**_Z2_CNN.settings, "augmentation": ("random_rotation",)},
    HELD_OUT,
)
_P4_CNN_WIDE = Row(
    "p4-CNN of twice the width on rotated MNIST, with the training of the vision transformers, of no table",
    "no number",
    _convolution_settings("p4_cnn")
    | _RECIPE
    | {"model_overrides": {"features": 20}, "num_epochs": 100, "num_seeds": 1},
    HELD_OUT,
)


def _vision_transformer(group: str) -> Row:
    """Settings of our own. The network is in no paper's table."""
    settings = _SHARED | _RECIPE
    settings |= {"model": f"rotmnist_vit_{group}", "z2_model": "rotmnist_vit_z2", "num_epochs": 70}
    title = f"Vision transformer on {group} with attention by frames on rotated MNIST, of no table"
    return Row(title, "no number", settings, HELD_OUT)


ROWS: Mapping[str, Row] = {
    "r4_sa": _self_attention("r4", "97.46"),
    "z2_sa": _self_attention("z2", "96.37"),
    "r8_sa": _self_attention("r8", "97.90"),
    "r12_sa": _self_attention("r12", "97.97"),
    "r16_sa": _self_attention("r16", "97.66"),
    "r4_sa_3x3": _window(3, "96.56"),
    "r4_sa_5x5": _window(5, "97.49"),
    "r4_sa_7x7": _window(7, "97.33"),
    "r4_sa_9x9": _window(9, "97.42"),
    "r4_sa_11x11": _window(11, "97.17"),
    "r4_sa_15x15": _window(15, "96.89"),
    "r4_sa_19x19": _window(19, "96.86"),
    "r4_sa_23x23": _window(23, "97.05"),
    "r4_sa_28x28": _window(None, "96.81"),
    "vit_p4": _vision_transformer("p4"),
    "vit_z2": _vision_transformer("z2"),
    "z2_cnn": _Z2_CNN,
    "z2_cnn_turned": _Z2_CNN_TURNED,
    "p4_cnn_wide": _P4_CNN_WIDE,
    "p4_cnn": _convolution("p4_cnn", "p4", "2.048 +- 0.045", "24.61"),
    "big11_p4_cnn": _convolution("big11_p4_cnn", "BIG11", "1.996 +- 0.083", "29.05"),
    "big15_p4_cnn": _convolution("big15_p4_cnn", "BIG15", "1.848 +- 0.019", "50.42"),
    "big19_p4_cnn": _convolution("big19_p4_cnn", "BIG19", "1.796 +- 0.035", "77.54"),
    "alpha_p4_cnn": _convolution("alpha_p4_cnn", "alpha", "1.696 +- 0.021", "73.13"),
    "alpha_ch_p4_cnn": _convolution("alpha_ch_p4_cnn", "alpha_CH", "1.825 +- 0.048", "48.63"),
    "alpha_sp_p4_cnn": _convolution("alpha_sp_p4_cnn", "alpha_SP", "1.761 +- 0.027", "49.11"),
    "alpha_f_p4_cnn": _convolution("alpha_f_p4_cnn", "alpha_F", "1.795 +- 0.028", "29.46"),
    "alpha_rh_p4_cnn": _convolution("alpha_rh_p4_cnn", "alpha_RH", "1.980 +- 0.032", "24.85"),
}
