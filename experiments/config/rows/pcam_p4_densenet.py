"""p4-DenseNet on PatchCamelyon. Romero et al. (2020), Tab. 3; settings of App. B.4.

Published: 12.45 % test error, 129.65K parameters. This run selects the epoch on validation images and reads the test
set once.

Command: python -m experiments.main --config experiments/config/rows/pcam_p4_densenet.py
"""

from experiments.config._typing import Config
from experiments.config.rows import pcam


def get_config() -> Config:
    """Returns the settings of the row."""
    return pcam.densenet("pcam_p4_densenet")
