"""R12_SA on rotated MNIST. Romero & Cordonnier (2021), Tab. 2; settings of App. F.1.

Published: 97.97 % test accuracy, 44.67K parameters. The published code selects the epoch on the test set; this run
selects it on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/rotmnist_r12_sa.py
"""

from experiments.config._typing import Config
from experiments.config.rows import rotmnist


def get_config() -> Config:
    """Returns the settings of the row."""
    return rotmnist.self_attention("rotmnist_r12_sa")
