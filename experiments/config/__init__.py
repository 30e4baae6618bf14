"""The fields of a run, their values, and the flags that change them."""

from experiments.config._typing import Config as Config
from experiments.config.rows.default import get_config as default_config

__all__ = ["Config", "default_config"]
