"""alpha_F-p4-All-CNN on CIFAR-10. Romero et al. (2020), Tab. 2; settings of App. B.3.1.

Published: 8.8 % and 7.05 % test error, 1.40M parameters. The second number is with CIFAR10+:
--config.augmentation=random_crop,random_flip. The published code selects the epoch on the test set; this run selects it
on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/cifar10_alpha_f_p4_all_cnn.py
"""

from experiments.config._typing import Config
from experiments.config.rows import cifar10


def get_config() -> Config:
    """Returns the settings of the row."""
    return cifar10.all_cnn("cifar10_alpha_f_p4_all_cnn")
