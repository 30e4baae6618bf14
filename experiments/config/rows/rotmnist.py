"""What the rows on rotated MNIST share: the data, and one recipe for each paper.

Run alone it trains the R4 self-attention network: python -m experiments.main --config experiments/config/rows/rotmnist.py
"""

from experiments.config._typing import Config
from experiments.config.rows import default


def self_attention(model: str) -> Config:
    """Romero & Cordonnier (2021), App. F.1. Their mixed precision is off here: it was there to save memory."""
    config = _data(model)
    config.z2_model = "rotmnist_z2_sa"
    config.batch_size = 8
    config.num_epochs = 300
    return config


def convolution(model: str) -> Config:
    """Romero et al. (2020), App. B.2; the dropout of 0.3 belongs to the networks. Five seeds side by side, as in Tab. 1."""
    config = _data(model)
    config.z2_model = "rotmnist_z2_cnn"
    config.batch_size = 128
    config.num_epochs = 100
    config.num_seeds = 5
    return config


def _data(model: str) -> Config:
    config = default.get_config()
    config.model = model
    config.dataset = "rotmnist"
    config.num_validation = 2_000
    config.normalization = "mnist"
    config.augmentation = ()
    config.optimizer = "adam"
    config.learning_rate = 1e-3
    config.weight_decay = 1e-4
    config.schedule = "constant"
    config.warmup_epochs = 0.0
    config.eval_batch_size = 500
    return config


def get_config() -> Config:
    """Returns the settings of R4 self-attention."""
    return self_attention("rotmnist_r4_sa")
