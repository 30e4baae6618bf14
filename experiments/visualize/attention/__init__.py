"""Attention of a trained network to an image and to its transforms."""
