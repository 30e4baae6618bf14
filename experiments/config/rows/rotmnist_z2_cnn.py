"""Z2-CNN on rotated MNIST. Romero & Cordonnier (2021), Tab. 2, quoting Cohen & Welling (2016).

Published: 94.97 % test accuracy, 21.75K parameters. Trained here with the settings of the p4-CNN. This run selects the
epoch on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/rotmnist_z2_cnn.py
"""

from experiments.config._typing import Config
from experiments.config.rows import rotmnist


def get_config() -> Config:
    """Returns the settings of the row."""
    return rotmnist.convolution("rotmnist_z2_cnn")
