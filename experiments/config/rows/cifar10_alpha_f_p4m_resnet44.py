"""alpha_F-p4m-ResNet44 on CIFAR-10. Romero et al. (2020), Tab. 2; settings of App. B.3.2.

Published: 10.82 % and 10.12 % test error, 2.70M parameters. The second number is with CIFAR10+:
--config.augmentation=random_crop,random_flip. The published code selects the epoch on the test set; this run selects it
on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/cifar10_alpha_f_p4m_resnet44.py
"""

from experiments.config._typing import Config
from experiments.config.rows import cifar10


def get_config() -> Config:
    """Returns the settings of the row."""
    return cifar10.resnet("cifar10_alpha_f_p4m_resnet44")
