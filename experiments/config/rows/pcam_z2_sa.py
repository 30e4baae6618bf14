"""Z2_SA on PatchCamelyon. Romero & Cordonnier (2021), Tab. 2; settings of App. F.3.

Published: 83.04 % test accuracy, 205.66K parameters. This run selects the epoch on validation images and reads the test
set once.

Command: python -m experiments.main --config experiments/config/rows/pcam_z2_sa.py
"""

from experiments.config._typing import Config
from experiments.config.rows import pcam


def get_config() -> Config:
    """Returns the settings of the row."""
    return pcam.self_attention("pcam_z2_sa")
