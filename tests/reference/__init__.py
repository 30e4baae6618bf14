"""Every operation once more, as loops written straight from its equation, in NumPy and float64."""
