"""The configuration of a run: its fields, the rows of the papers' tables, the flags, and the checks.

schema        every field: type, default, range, whether it may change on resume, help
rows          the settings of each table entry; `--config rotmnist:r4_sa`
loading       a row or a file as a configuration
overrides     `--config.KEY=VALUE`
flags         the command line
task          defaults and checks of images with labels and of images with masks
validation    checks of a whole configuration (imports JAX, for the names of the models)
saved         config.json in a work directory
"""

from experiments.config._typing import Config as Config
from experiments.config.schema import default_config as default_config

__all__ = ["Config", "default_config"]
