"""BIG11-p4-CNN on rotated MNIST. Romero et al. (2020), Tab. 1; settings of App. B.2.

Published: 1.996 +- 0.083 % test error over 5 seeds, 29.05K parameters. The published code selects the epoch on the test
set; this run selects it on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/rotmnist_big11_p4_cnn.py
"""

from experiments.config._typing import Config
from experiments.config.rows import rotmnist


def get_config() -> Config:
    """Returns the settings of the row."""
    return rotmnist.convolution("rotmnist_big11_p4_cnn")
