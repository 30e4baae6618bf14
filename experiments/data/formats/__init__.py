"""Image files at full bit depth: `read_image(path)` reads a file without loss, or raises an error that says why.

Nothing is rounded, clipped or dropped in silence. Images are `[rows, columns, channels]`, volumes `[depth, rows, columns,
channels]`, in the file's own type.
"""

from experiments.data.formats._files import SUFFIXES as SUFFIXES
from experiments.data.formats._files import is_image as is_image
from experiments.data.formats._files import read_header as read_header
from experiments.data.formats._files import read_image as read_image
from experiments.data.formats._files import read_mask as read_mask
from experiments.data.formats._files import stem as stem
from experiments.data.formats._header import Header as Header
