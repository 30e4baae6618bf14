"""Layouts of data sets on disk: each function lists the images of one, its splits and its labels."""

from experiments.data.layouts._folder import list_folder as list_folder
from experiments.data.layouts._masked_folder import has_masks as has_masks
from experiments.data.layouts._masked_folder import list_masked_folder as list_masked_folder
from experiments.data.layouts._masked_npz import holds_masks as holds_masks
from experiments.data.layouts._masked_npz import list_masked_npz as list_masked_npz
from experiments.data.layouts._medmnist import MEDMNIST as MEDMNIST
from experiments.data.layouts._medmnist import list_medmnist as list_medmnist
from experiments.data.layouts._membranes import list_membranes as list_membranes
from experiments.data.layouts._npz import list_npz as list_npz
from experiments.data.layouts._table import list_table as list_table
