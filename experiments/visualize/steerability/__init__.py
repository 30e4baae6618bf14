"""Steerability: a kernel that is interpolated beside an encoding that is evaluated at rotated offsets."""
