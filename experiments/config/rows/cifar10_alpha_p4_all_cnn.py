"""alpha-p4-All-CNN on CIFAR-10, the network that Romero et al. (2020) could not run (footnote to Tab. 2): 72 GB.

Published: no number. Settings of App. B.3.1. This run selects the epoch on validation images and reads the test set
once.

Command: python -m experiments.main --config experiments/config/rows/cifar10_alpha_p4_all_cnn.py
"""

from experiments.config._typing import Config
from experiments.config.rows import cifar10


def get_config() -> Config:
    """Returns the settings of the row."""
    return cifar10.all_cnn("cifar10_alpha_p4_all_cnn")
