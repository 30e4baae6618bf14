"""Membranes of neurons in electron micrographs, ISBI 2012: 20 slices of 512x512 for training, 4 for validation, 6 for testing.

The splits are blocks of slices. `--config.num_train=5` trains on the first 5 slices, with as many steps. Neurons have no
preferred direction.

    python -m experiments.main --config membranes:p4m --config.data_dir=FILE.npz --config.seed=0
"""

from collections.abc import Mapping
from typing import Any

from experiments.config.rows._row import Row

_SHARED = {
    "dataset": "membranes",
    "augmentation": ("random_symmetry",),
    "augmentation_group": "p4m",
    "best_metric": "iou",
    "tile_size": (128, 128),
    "tiles_per_epoch": 160,
    "batch_size": 8,
    "num_epochs": 20,
    "optimizer": "adamw",
    "learning_rate": 5e-3,
    "weight_decay": 1e-2,
    "schedule": "cosine",
    "warmup_epochs": 1.0,
    "equivariance_images": 6,
    "z2_model": "",
}


def _row(model: str, features: int, title: str, **overrides: Any) -> Row:
    network = {"depth": 3, "features": features, **overrides}
    note = (
        "This run selects the epoch by the intersection over union on the validation split and reads the test set once."
    )
    settings = _SHARED | {"model": model, "model_overrides": network}
    return Row(f"{title} on membranes of ISBI 2012, of no paper", "no number", settings, note)


ROWS: Mapping[str, Row] = {
    # At equal parameters: |H| times the square of the width.
    "z2": _row("unet_z2", 11, "U-Net without a group"),
    "p4": _row("unet_p4", 6, "U-Net of quarter turns"),
    "p4m": _row("unet_p4m", 4, "U-Net of the symmetries of the square"),
    "alpha_f_p4m": _row("unet_alpha_f_p4m", 4, "Attentive U-Net of the symmetries of the square"),
    # At equal cost: |H| times the width, as many channels in all as p4m.
    "z2_equal_cost": _row("unet_z2", 32, "U-Net without a group, as wide as that of p4m"),
    "p4_equal_cost": _row("unet_p4", 8, "U-Net of quarter turns, as wide as that of p4m"),
}
