"""CIFAR-10: 40,000 images for training, 10,000 for validation, 10,000 for testing.

The papers train with stochastic gradient descent and do not always state the momentum; 0.9 is that of the networks
which they build on.

    python -m experiments.main --config cifar10:z2_sa
"""

from collections.abc import Mapping
from typing import Any

from experiments.config.rows._row import HELD_OUT, PUBLISHED_ON_TEST, Row

_TWO_NUMBERS = "The second number is with CIFAR10+: --config.augmentation=random_crop,random_flip."
_SHARED = {
    "dataset": "cifar10",
    "num_validation": 10_000,
    "normalization": "cifar10",
    "augmentation": (),
    "optimizer": "sgd",
    "momentum": 0.9,
    "warmup_epochs": 0.0,
}


def _self_attention(group: str, accuracy: str) -> Row:
    """Settings of Romero & Cordonnier (2021), App. F.2. The networks contain the dropout of 0.3 and 0.2."""
    settings = _SHARED | {
        "model": f"cifar10_{group}_sa",
        "z2_model": "cifar10_z2_sa",
        "batch_size": 24,
        "num_epochs": 350,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "weight_decay": 1e-4,
    }
    title = f"{group.upper()}_SA on CIFAR-10. Romero & Cordonnier (2021), Tab. 2; settings of App. F.2"
    return Row(title, f"{accuracy} % test accuracy, 2.99M parameters", settings, PUBLISHED_ON_TEST)


def _all_cnn(model: str) -> dict[str, Any]:
    """Romero et al. (2020), App. B.3.1. The learning rate is one of their grid 0.01, 0.05, 0.1, 0.25."""
    return _SHARED | {
        "model": f"cifar10_{model}",
        "z2_model": "cifar10_z2_all_cnn",
        "batch_size": 128,
        "num_epochs": 350,
        "learning_rate": 0.05,
        "schedule": "multi_step",
        "decay_epochs": (200, 250, 300),
        "weight_decay": 1e-3,
    }


def _resnet(model: str) -> dict[str, Any]:
    """Romero et al. (2020), App. B.3.2. They state no weight decay."""
    return _SHARED | {
        "model": f"cifar10_{model}",
        "z2_model": "cifar10_z2_resnet44",
        "batch_size": 128,
        "num_epochs": 300,
        "learning_rate": 0.05,
        "schedule": "multi_step",
        "decay_epochs": (50, 100, 150),
        "weight_decay": 0.0,
    }


def _vision_transformer(group: str) -> Row:
    """Settings of our own, of the kind that small vision transformers on CIFAR-10 need. No paper has this network."""
    settings = _SHARED | {
        "model": f"vit_tiny_{group}",
        "z2_model": "vit_tiny_z2",
        "model_overrides": {
            "input_shape": (32, 32, 3),
            "num_classes": 10,
            "patch_size": 4,
            "drop_path_rate": 0.1,
        },
        "augmentation": ("random_crop", "random_flip"),
        "batch_size": 128,
        "num_epochs": 200,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 10.0,
        "gradient_clip": 1.0,
        "label_smoothing": 0.1,
        "ema_decay": 0.999,
        "precision": "bfloat16",
    }
    title = f"Vision transformer on {group} with attention by frames on CIFAR-10, of no table"
    return Row(title, "no number", settings, HELD_OUT)


def _table_2(name: str, appendix: str, errors: str, parameters: str, settings: dict[str, Any]) -> Row:
    title = f"{name} on CIFAR-10. Romero et al. (2020), Tab. 2; settings of App. {appendix}"
    return Row(
        title, f"{errors} % test error, {parameters}M parameters", settings, f"{_TWO_NUMBERS} {PUBLISHED_ON_TEST}"
    )


_Z2_ALL_CNN = Row(
    "All-CNN-C on CIFAR-10. Romero & Cordonnier (2021), Tab. 2, quoting Cohen & Welling (2016)",
    "90.56 % test accuracy, 1.37M parameters",
    _all_cnn("z2_all_cnn"),
    "Trained here with the settings of Romero et al. (2020), App. B.3.1. This run selects the epoch on the validation "
    "split.",
)
_ALPHA_P4_ALL_CNN = Row(
    "alpha-p4-All-CNN on CIFAR-10. Romero et al. (2020), footnote to Tab. 2: it needed 72 GB; settings of App. B.3.1",
    "no number",
    _all_cnn("alpha_p4_all_cnn"),
    HELD_OUT,
)
_Z2_RESNET44 = Row(
    "ResNet44 on CIFAR-10, the baseline of p4m-ResNet44 in Romero et al. (2020), Tab. 2; settings of App. B.3.2",
    "no number",
    _resnet("z2_resnet44"),
    HELD_OUT,
)

ROWS: Mapping[str, Row] = {
    "z2_sa": _self_attention("z2", "82.3"),
    "z2m_sa": _self_attention("z2m", "83.72"),
    "vit_z2": _vision_transformer("z2"),
    "vit_p4": _vision_transformer("p4"),
    "vit_p4m": _vision_transformer("p4m"),
    "z2_all_cnn": _Z2_ALL_CNN,
    "p4_all_cnn": _table_2("p4-All-CNN", "B.3.1", "9.32 and 8.91", "1.37", _all_cnn("p4_all_cnn")),
    "p4m_all_cnn": _table_2("p4m-All-CNN", "B.3.1", "7.61 and 7.48", "1.22", _all_cnn("p4m_all_cnn")),
    "alpha_p4_all_cnn": _ALPHA_P4_ALL_CNN,
    "alpha_f_p4_all_cnn": _table_2(
        "alpha_F-p4-All-CNN", "B.3.1", "8.8 and 7.05", "1.40", _all_cnn("alpha_f_p4_all_cnn")
    ),
    "alpha_f_p4m_all_cnn": _table_2(
        "alpha_F-p4m-All-CNN", "B.3.1", "6.93 and 6.53", "1.25", _all_cnn("alpha_f_p4m_all_cnn")
    ),
    "z2_resnet44": _Z2_RESNET44,
    "p4m_resnet44": _table_2("p4m-ResNet44", "B.3.2", "15.72 and 15.4", "2.62", _resnet("p4m_resnet44")),
    "alpha_f_p4m_resnet44": _table_2(
        "alpha_F-p4m-ResNet44", "B.3.2", "10.82 and 10.12", "2.70", _resnet("alpha_f_p4m_resnet44")
    ),
}
