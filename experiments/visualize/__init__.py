"""Pictures of what the layers do: `python -m experiments.visualize [PICTURE]`.

Each picture is a folder: `measure` computes the figures and imports nothing that draws, `draw` draws them, `command` has
the options and the caption.
"""
