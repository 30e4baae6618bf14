"""ResNet44 on CIFAR-10, beside the p4m-ResNet44 of Romero et al. (2020), Tab. 2; settings of App. B.3.2.

Published: no number in that table. This run selects the epoch on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/cifar10_z2_resnet44.py
"""

from experiments.config._typing import Config
from experiments.config.rows import cifar10


def get_config() -> Config:
    """Returns the settings of the row."""
    return cifar10.resnet("cifar10_z2_resnet44")
