"""Configurations: plain data returned by `get_config()`. `default.py` names every field; the others change a few."""
