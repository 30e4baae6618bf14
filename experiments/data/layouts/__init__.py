"""Layouts of data sets on disk: each function lists the images of one, its splits and its labels."""

from experiments.data.layouts._folder import list_folder as list_folder
from experiments.data.layouts._medmnist import MEDMNIST as MEDMNIST
from experiments.data.layouts._medmnist import list_medmnist as list_medmnist
from experiments.data.layouts._npz import list_npz as list_npz
from experiments.data.layouts._table import list_table as list_table
