"""All-CNN-C on CIFAR-10. Romero & Cordonnier (2021), Tab. 2, quoting Cohen & Welling (2016).

Published: 90.56 % test accuracy, 1.37M parameters. Trained here with the settings of App. B.3.1 of Romero et al.
(2020). This run selects the epoch on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/cifar10_z2_all_cnn.py
"""

from experiments.config._typing import Config
from experiments.config.rows import cifar10


def get_config() -> Config:
    """Returns the settings of the row."""
    return cifar10.all_cnn("cifar10_z2_all_cnn")
