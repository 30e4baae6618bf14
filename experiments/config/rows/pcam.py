"""PatchCamelyon, with its own train, validation and test splits.

python -m experiments.main --config pcam:r4_sa
"""

from collections.abc import Mapping

from experiments.config.rows._row import HELD_OUT, Row

_SHARED = {
    "dataset": "pcam",
    "normalization": "symmetric_range",
    "augmentation": (),
    "num_epochs": 100,
    "weight_decay": 1e-4,
    "warmup_epochs": 0.0,
}


def _self_attention(group: str, accuracy: str) -> Row:
    """Settings of Romero & Cordonnier (2021), App. F.3."""
    settings = _SHARED | {
        "model": f"pcam_{group}_sa",
        "z2_model": "pcam_z2_sa",
        "batch_size": 8,
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.01,
        "schedule": "cosine",
    }
    title = f"{group.upper()}_SA on PatchCamelyon. Romero & Cordonnier (2021), Tab. 2; settings of App. F.3"
    return Row(title, f"{accuracy} % test accuracy, 205.66K parameters", settings, HELD_OUT)


def _densenet(model: str, name: str, error: str, parameters: str, *, note: str = HELD_OUT) -> Row:
    """Settings of Romero et al. (2020), App. B.4."""
    settings = _SHARED | {
        "model": f"pcam_{model}",
        "z2_model": "pcam_z2_densenet",
        "batch_size": 64,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "plateau",
        "decay_factor": 0.5,
        "plateau_patience": 20,
    }
    title = f"{name}-DenseNet on PatchCamelyon. Romero et al. (2020), Tab. 3; settings of App. B.4"
    return Row(title, f"{error} % test error, {parameters}K parameters", settings, note)


ROWS: Mapping[str, Row] = {
    "r4_sa": _self_attention("r4", "83.44"),
    "z2_sa": _self_attention("z2", "83.04"),
    "r8_sa": _self_attention("r8", "83.58"),
    "r4m_sa": _self_attention("r4m", "84.76"),
    "z2_densenet": _densenet("z2_densenet", "Z2", "15.93", "130.60"),
    "p4_densenet": _densenet("p4_densenet", "p4", "12.45", "129.65"),
    "p4m_densenet": _densenet("p4m_densenet", "p4m", "11.64", "124.21"),
    "alpha_f_p4_densenet": _densenet("alpha_f_p4_densenet", "alpha_F-p4", "11.34", "140.45"),
    "alpha_f_p4m_densenet": _densenet(
        "alpha_f_p4m_densenet",
        "alpha_F-p4m",
        "10.88",
        "141.22",
        note=f"The checkpoint published under this name contains no attention weights. {HELD_OUT}",
    ),
}
