"""What the benchmark compares, by section."""

import functools
import pathlib
from collections.abc import Callable, Iterator

from experiments.benchmark.cases._case import Case as Case
from experiments.benchmark.cases._case import sweep as sweep
from experiments.benchmark.cases._convolution import attentive_convolution, group_convolution
from experiments.benchmark.cases._segmentation import segmentation_step
from experiments.benchmark.cases._self_attention import (
    global_self_attention,
    group_self_attention,
    lifting_self_attention,
)
from experiments.benchmark.cases._training_step import training_step
from experiments.benchmark.cases._transformers import transformers
from experiments.benchmark.cases._volumes import convolution_of_volumes, training_step_on_volumes


def sections(quick: bool, torch_python: pathlib.Path | None = None) -> dict[str, Callable[[], Iterator[Case]]]:
    """The makers of cases by the name of their section.

    Args:
      quick: small sizes.
      torch_python: an interpreter with PyTorch, for training steps beside ours.
    """
    makers = {
        "group self-attention": group_self_attention,
        "lifting self-attention": lifting_self_attention,
        "global self-attention": global_self_attention,
        "group convolution": group_convolution,
        "attentive convolution": attentive_convolution,
        "transformers": transformers,
        "training step": functools.partial(training_step, torch_python=torch_python),
        "segmentation step": segmentation_step,
        "convolution of volumes": convolution_of_volumes,
        "training step on volumes": training_step_on_volumes,
    }
    return {section: functools.partial(make, section, quick) for section, make in makers.items()}
