"""What a configuration means for images with masks: their default fields, and the fields that they cannot use."""

from experiments.config._typing import Config
from experiments.config.schema import FIELDS
from experiments.errors import UserError
from gequi_jax import models

_SEGMENTATION = "segmentation"
# In place of defaults that are for labels. A field at another value stays.
_DEFAULTS = {
    "model": "unet_p4m",
    "z2_model": "unet_z2",
    "augmentation": ("random_symmetry",),
    "best_metric": "dice",
}
_FOR_LABELS = ("image_size", "downscale", "sampling", "label_smoothing")
_METRICS_OF_LABELS, _METRICS_OF_MASKS = ("balanced_accuracy", "average_precision", "f1"), ("dice", "iou")
_FOR_MASKS = ("tile_size", "tiles_per_epoch", "eval_tile_size", "segmentation_loss")


def for_data(config: Config, *, masks: bool) -> Config:
    """The configuration for labels as it is, for masks with their defaults.

    Args:
      config: not changed.
      masks: whether the images have masks.

    Raises:
      UserError: a field that is for the other kind of data, or a network for it.
    """
    config = config.copy_and_resolve_references()
    if masks:
        for name, value in _DEFAULTS.items():
            if config[name] == FIELDS[name].default:
                config[name] = value
    _check_fields(config, masks)
    _check_network("model", config.model, masks)
    if config.z2_model or config.compare_z2:
        _check_network("z2_model", config.z2_model, masks)
    return config


def _check_fields(config: Config, masks: bool) -> None:
    kinds = ("masks", "labels") if masks else ("labels", "masks")
    if (config.best_metric in _METRICS_OF_LABELS) if masks else (config.best_metric in _METRICS_OF_MASKS):
        raise UserError(f"best_metric: {config.best_metric} is for images with {kinds[1]}, these have {kinds[0]}")
    for name in _FOR_LABELS if masks else _FOR_MASKS:
        if config[name] != FIELDS[name].default:
            raise UserError(
                f"{name}: expected {FIELDS[name].default!r} for images with {kinds[0]}; got {config[name]!r}, which is for "
                f"images with {kinds[1]}"
            )
    if config.task not in ("auto", _SEGMENTATION) if masks else config.task == _SEGMENTATION:
        needed = "folders images and masks, or such arrays" if not masks else "images without masks"
        raise UserError(f"task={config.task} needs {needed}; {config.data_dir} has not, for dataset={config.dataset}")


def _check_network(field: str, name: str, masks: bool) -> None:
    output = models.model_info(name).output
    if masks and output != "grid":
        raise UserError(
            f"{field}: expected a network with classes at each position, such as unet_p4m, for images with masks; got {name!r}"
        )
    if not masks and output != "invariant":
        raise UserError(
            f"{field}: expected a network that classifies whole images, since these have no masks; got {name!r}, which has "
            "classes at each position"
        )
