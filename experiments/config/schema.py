"""Every field of a run, in one place: type and default, range, choices, whether it may change on resume, help."""

from collections.abc import Mapping

import ml_collections

from experiments.config._fields import FRACTION, NOT_NEGATIVE, POSITIVE, Field
from experiments.config._typing import Config

_SEEDS = {
    "seed": Field(0, "Seed of initialisation, order of the images, augmentation and dropout.", NOT_NEGATIVE),
    "num_seeds": Field(1, "Number of seeds trained in one program: seed, seed + 1, ...", POSITIVE),
}

_NETWORK = {
    "model": Field("digits_alpha_f_p4_cnn", "A name of gequi_jax.models.list_models(), with any group in its place."),
    "model_overrides": Field({}, "Keyword arguments of create_model; --config.model_overrides.KEY=VALUE sets one."),
    "z2_model": Field(
        "digits_alpha_f_z2_cnn",
        "The baseline: the same network without the group. The summary quotes its recorded result if there is one.",
        free_on_resume=True,
    ),
    "compare_z2": Field(False, "Also train the baseline, in the folder z2 of the work directory.", free_on_resume=True),
    "precision": Field(
        "float32",
        "Arithmetic of the forward and the backward pass. Parameters and optimiser state are float32 in any case.",
        choices=("float32", "bfloat16"),
    ),
}

_DATA = {
    "dataset": Field(
        "digits",
        "The data set. folder, table and npz are your own images; medmnist:NAME and tfds:NAME are published sets. A folder of "
        "images and masks, or such arrays in a file, is a segmentation.",
        choices=("digits", "rotmnist", "cifar10", "pcam", "membranes", "folder", "table", "npz", "generated"),
        prefixes=("medmnist:", "tfds:"),
    ),
    "data_dir": Field("data", "Folder of the data; for table and npz the file itself.", free_on_resume=True),
    "data_seed": Field(0, "Seed of the validation split and of fixed rotations; independent of seed.", NOT_NEGATIVE),
    "num_train": Field(0, "Number of training images to use (0: all).", NOT_NEGATIVE),
    "num_validation": Field(
        0,
        "Number of training images held out to select the best epoch (0: the data set's own validation split, or an eighth).",
        NOT_NEGATIVE,
    ),
    "num_test": Field(0, "Number of test images to use (0: all).", NOT_NEGATIVE, free_on_resume=True),
    "downscale": Field(1, "Average squares of this many pixels a side (1: off).", POSITIVE),
    "task": Field(
        "auto",
        "What labels mean: one class, several at once, grades, or a class for each pixel. auto goes by the data.",
        choices=("auto", "classes", "multi_label", "ordinal", "segmentation"),
    ),
    "image_size": Field(
        (), "(ROWS,COLUMNS) of the images; () is their own size if it is small and the network takes it."
    ),
    "resize_mode": Field(
        "pad",
        "How images get another size: resize stretches them, pad and crop keep their aspect.",
        choices=("resize", "pad", "crop"),
    ),
    "tile_size": Field(
        (),
        "(ROWS,COLUMNS) of the tiles that training cuts out of images with masks at random places; () is whole images.",
    ),
    "tiles_per_epoch": Field(0, "Number of tiles in an epoch (0: enough to cover every training image).", NOT_NEGATIVE),
    "normalization": Field(
        "measured",
        "Normalization of the pixels; measured is mean 0 and deviation 1 of each channel of the training split.",
        choices=("measured", "unit_range", "symmetric_range", "digits", "mnist", "cifar10"),
    ),
    "augmentation": Field(
        ("random_rotation",),
        "Augmentations of training images, applied in this order.",
        choices=(
            "random_rotation",
            "random_quarter_turn",
            "random_flip",
            "random_crop",
            "random_symmetry",
            "random_brightness",
            "random_contrast",
            "random_noise",
        ),
    ),
    "augmentation_group": Field(
        "", "Name of the group that random_symmetry draws from, such as octahedral (empty: that of the network)."
    ),
    "sampling": Field(
        "uniform",
        "balanced gives each class the same share of every batch.",
        choices=("uniform", "balanced"),
    ),
}

_TRAINING = {
    "batch_size": Field(16, "Images of one step, over all devices.", POSITIVE),
    "eval_batch_size": Field(256, "Images of one batch during evaluation.", POSITIVE, free_on_resume=True),
    "eval_tile_size": Field(
        0,
        "Side of the overlapping tiles in which images with masks are segmented during evaluation (0: whole images).",
        NOT_NEGATIVE,
        free_on_resume=True,
    ),
    "num_epochs": Field(
        30, "Number of epochs. A cosine schedule ends with the last one.", POSITIVE, free_on_resume=True
    ),
    "label_smoothing": Field(0.0, "Share of the target distribution that is uniform.", FRACTION),
    "segmentation_loss": Field(
        "cross_entropy_dice",
        "Loss of a segmentation: the mean cross-entropy of the pixels, 1 - the soft Dice coefficient, or their sum.",
        choices=("cross_entropy", "dice", "cross_entropy_dice"),
    ),
    "class_weights": Field("none", "balanced makes every class weigh alike in the loss.", choices=("none", "balanced")),
    "best_metric": Field(
        "accuracy",
        "The metric of the validation split that selects the best epoch; for images with masks dice in place of the default.",
        choices=("accuracy", "loss", "auc", "balanced_accuracy", "average_precision", "f1", "dice", "iou"),
    ),
    "ema_decay": Field(
        0.0,
        "Decay of the moving average of the weights, which is evaluated in place of the weights (0: off).",
        FRACTION,
    ),
    "num_devices": Field(0, "Devices that share a batch (0: all).", NOT_NEGATIVE, free_on_resume=True),
}

_OPTIMIZER = {
    "optimizer": Field(
        "adamw",
        "adam and sgd use weight decay as an L2 penalty; adamw decouples it.",
        choices=("adam", "adamw", "sgd"),
    ),
    "learning_rate": Field(1e-2, "Learning rate after warm-up.", POSITIVE),
    "momentum": Field(0.9, "Momentum of sgd.", FRACTION),
    "weight_decay": Field(1e-4, "Weight decay of all parameters.", NOT_NEGATIVE),
    "gradient_clip": Field(0.0, "Largest global norm of the gradient (0: off).", NOT_NEGATIVE),
    "schedule": Field(
        "cosine",
        "Schedule of the learning rate.",
        choices=("constant", "multi_step", "cosine", "plateau"),
    ),
    "warmup_epochs": Field(2.0, "Epochs of linear warm-up.", NOT_NEGATIVE),
    "decay_epochs": Field((), "Epochs after which multi_step multiplies the learning rate by decay_factor."),
    "decay_factor": Field(0.1, "Factor of multi_step and plateau.", FRACTION),
    "plateau_patience": Field(
        10, "Epochs without a better validation loss after which plateau multiplies by decay_factor.", NOT_NEGATIVE
    ),
}

_OUTPUT = {
    "compilation_cache": Field(
        "auto",
        "Folder in which compiled programs are kept for later runs (auto: compilation_cache beside the work directory; "
        "off: none).",
        free_on_resume=True,
    ),
    "log_every_steps": Field(
        20, "Steps between lines of metrics.jsonl (0: epochs only).", NOT_NEGATIVE, free_on_resume=True
    ),
    "checkpoint_every_steps": Field(
        0, "Steps between checkpoints within an epoch (0: only at its end).", NOT_NEGATIVE, free_on_resume=True
    ),
    "equivariance_images": Field(
        64, "Test images on which the equivariance of the trained network is measured.", POSITIVE, free_on_resume=True
    ),
    "audit": Field(
        False, "Measure the equivariance error of every layer before and after training.", free_on_resume=True
    ),
    "audit_every_epochs": Field(
        0, "Epochs between audits during training (0: none).", NOT_NEGATIVE, free_on_resume=True
    ),
}

SECTIONS: Mapping[str, Mapping[str, Field]] = {
    "Seeds": _SEEDS,
    "Network": _NETWORK,
    "Data": _DATA,
    "Training": _TRAINING,
    "Optimizer": _OPTIMIZER,
    "Output": _OUTPUT,
}
FIELDS: Mapping[str, Field] = {name: field for section in SECTIONS.values() for name, field in section.items()}
FREE_ON_RESUME = frozenset(name for name, field in FIELDS.items() if field.free_on_resume)


def default_config() -> Config:
    """A new configuration with every field at its default."""
    config: Config = ml_collections.ConfigDict({name: field.default for name, field in FIELDS.items()})
    return config


def describe(config: Config) -> str:
    """The fields by section, with the values of a configuration and the help texts."""
    lines = []
    for title, section in SECTIONS.items():
        lines += ["", f"{title}:"]
        for name, field in section.items():
            value = dict(config[name]) if isinstance(field.default, dict) else config[name]
            lines += [f"  --config.{name}={value}", f"      {field.help}"]
            if field.choices:
                names = [*field.choices, *(f"{prefix}NAME" for prefix in field.prefixes)]
                lines.append(f"      Choices: {', '.join(names)}.")
    return "\n".join(lines[1:])
