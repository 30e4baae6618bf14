"""What the rows on CIFAR-10 share: 40,000 / 10,000 / 10,000 images, and one recipe for each kind of network.

The papers train with stochastic gradient descent and do not always say its momentum; 0.9 is that of the networks they
build on. Run alone it trains the Z2 self-attention network: python -m experiments.main --config
experiments/config/rows/cifar10.py
"""

from experiments.config._typing import Config
from experiments.config.rows import default


def self_attention(model: str) -> Config:
    """Romero & Cordonnier (2021), App. F.2; the dropout of 0.3 and 0.2 belongs to the networks."""
    config = _data(model)
    config.z2_model = "cifar10_z2_sa"
    config.batch_size = 24
    config.num_epochs = 350
    config.learning_rate = 0.01
    config.schedule = "cosine"
    config.weight_decay = 1e-4
    return config


def all_cnn(model: str) -> Config:
    """Romero et al. (2020), App. B.3.1. The learning rate is one of their grid 0.01, 0.05, 0.1, 0.25."""
    config = _data(model)
    config.z2_model = "cifar10_z2_all_cnn"
    config.batch_size = 128
    config.num_epochs = 350
    config.learning_rate = 0.05
    config.schedule = "multi_step"
    config.decay_epochs = (200, 250, 300)
    config.weight_decay = 1e-3
    return config


def resnet(model: str) -> Config:
    """Romero et al. (2020), App. B.3.2; they give no weight decay."""
    config = _data(model)
    config.z2_model = "cifar10_z2_resnet44"
    config.batch_size = 128
    config.num_epochs = 300
    config.learning_rate = 0.05
    config.schedule = "multi_step"
    config.decay_epochs = (50, 100, 150)
    config.weight_decay = 0.0
    return config


def _data(model: str) -> Config:
    config = default.get_config()
    config.model = model
    config.dataset = "cifar10"
    config.num_validation = 10_000
    config.normalization = "cifar10"
    config.augmentation = ()
    config.optimizer = "sgd"
    config.momentum = 0.9
    config.warmup_epochs = 0.0
    return config


def get_config() -> Config:
    """Returns the settings of Z2 self-attention."""
    return self_attention("cifar10_z2_sa")
