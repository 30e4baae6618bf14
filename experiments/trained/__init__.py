"""Trained networks: how they are built and restored, and what they show inside."""
