"""Receptive fields of a query of self-attention, for every output pose."""
