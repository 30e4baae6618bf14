"""The pose index of group self-attention: the default against the published ones."""
