"""Z2M_SA on CIFAR-10. Romero & Cordonnier (2021), Tab. 2; settings of App. F.2.

Published: 83.72 % test accuracy, 2.99M parameters. The published code selects the epoch on the test set; this run
selects it on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/cifar10_z2m_sa.py
"""

from experiments.config._typing import Config
from experiments.config.rows import cifar10


def get_config() -> Config:
    """Returns the settings of the row."""
    return cifar10.self_attention("cifar10_z2m_sa")
