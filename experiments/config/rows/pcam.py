"""What the rows on PatchCamelyon share: its own train, validation and test splits, and one recipe for each paper.

Run alone it trains the R4 self-attention network: python -m experiments.main --config experiments/config/rows/pcam.py
"""

from experiments.config._typing import Config
from experiments.config.rows import default


def self_attention(model: str) -> Config:
    """Romero & Cordonnier (2021), App. F.3."""
    config = _data(model)
    config.z2_model = "pcam_z2_sa"
    config.batch_size = 8
    config.optimizer = "sgd"
    config.momentum = 0.9
    config.learning_rate = 0.01
    config.schedule = "cosine"
    return config


def densenet(model: str) -> Config:
    """Romero et al. (2020), App. B.4."""
    config = _data(model)
    config.z2_model = "pcam_z2_densenet"
    config.batch_size = 64
    config.optimizer = "adam"
    config.learning_rate = 1e-3
    config.schedule = "plateau"
    config.decay_factor = 0.5
    config.plateau_patience = 20
    return config


def _data(model: str) -> Config:
    config = default.get_config()
    config.model = model
    config.dataset = "pcam"
    config.normalization = "symmetric_range"
    config.augmentation = ()
    config.num_epochs = 100
    config.weight_decay = 1e-4
    config.warmup_epochs = 0.0
    return config


def get_config() -> Config:
    """Returns the settings of R4 self-attention."""
    return self_attention("pcam_r4_sa")
