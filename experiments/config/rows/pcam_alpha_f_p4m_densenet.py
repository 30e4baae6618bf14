"""alpha_F-p4m-DenseNet on PatchCamelyon. Romero et al. (2020), Tab. 3; settings of App. B.4.

Published: 10.88 % test error, 141.22K parameters. The checkpoint published under this name holds no attention weights.
This run selects the epoch on validation images and reads the test set once.

Command: python -m experiments.main --config experiments/config/rows/pcam_alpha_f_p4m_densenet.py
"""

from experiments.config._typing import Config
from experiments.config.rows import pcam


def get_config() -> Config:
    """Returns the settings of the row."""
    return pcam.densenet("pcam_alpha_f_p4m_densenet")
