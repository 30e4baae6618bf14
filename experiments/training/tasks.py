"""What a run learns, as one value chosen by its data: the loss, the validation, and the evaluation of the test split."""

from experiments import data
from experiments.config import Config
from experiments.training.labelled import LabelledImages
from experiments.training.segmented import MaskedImages

Task = LabelledImages | MaskedImages


def create_task(config: Config, dataset: data.Dataset) -> Task:
    """The task of a data set.

    Raises:
      UserError: a metric that does not suit it.
    """
    return (MaskedImages if dataset.label_names.task == data.SEGMENTATION else LabelledImages)(config, dataset)
