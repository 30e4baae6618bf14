"""AdrenalMNIST3D of MedMNIST v2: shapes segmented in CT, 28x28x28; 1,188 for training, 98 for validation, 298 for testing.

Four networks at equal cost: every layer computes the same number of channels, shared out among the poses of the group. All
see the same augmentation, so that the baseline meets every rotation and reflection of a volume too.

    python -m experiments.main --config adrenalmnist3d:octahedral_cnn --config.data_dir=DIR --config.seed=0
"""

from collections.abc import Mapping

from experiments.config.rows._row import Row

_SHARED = {
    "dataset": "medmnist:adrenalmnist3d",
    "augmentation": ("random_symmetry",),
    "augmentation_group": "full_octahedral",
    "best_metric": "auc",
    "batch_size": 32,
    "eval_batch_size": 32,
    "num_epochs": 24,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "weight_decay": 1e-2,
    "schedule": "cosine",
    "warmup_epochs": 2.0,
    "equivariance_images": 16,
    "z2_model": "volume_z2_cnn",
}


def _row(model: str, title: str) -> Row:
    note = "This run selects the epoch by the AUC of the validation split and reads the test set once."
    return Row(f"{title} on AdrenalMNIST3D, of no paper", "no number", _SHARED | {"model": model}, note)


ROWS: Mapping[str, Row] = {
    "z2_cnn": _row("volume_z2_cnn", "Convolutions without a group"),
    "octahedral_cnn": _row("volume_octahedral_cnn", "Group convolutions of the 24 rotations of the cube"),
    "alpha_f_octahedral_cnn": _row("volume_alpha_f_octahedral_cnn", "Attentive convolutions of the same group"),
    "in-plane": _row("volume_p4m_cnn", "Group convolutions of the symmetries of the square within slices"),
}
