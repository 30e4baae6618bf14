"""Time and memory of layers and training steps: `python -m experiments.benchmark`."""
