import pytest

from experiments.config import default_config
from experiments.config.task import for_data
from experiments.errors import UserError


def changed(**fields):
    config = default_config()
    config.update(fields)
    return config


def test_masks_change_defaults_and_nothing_else():
    config = for_data(default_config(), masks=True)
    assert (config.model, config.best_metric, config.augmentation) == ("unet_p4m", "dice", ("random_symmetry",))
    chosen = changed(model="unet_alpha_f_p4", augmentation=("random_flip",), best_metric="iou")
    kept = for_data(chosen, masks=True)
    assert [kept[name] for name in ("model", "augmentation", "best_metric")] == [
        "unet_alpha_f_p4",
        ("random_flip",),
        "iou",
    ]
    assert chosen.z2_model == default_config().z2_model
    assert for_data(default_config(), masks=False).to_dict() == default_config().to_dict()


@pytest.mark.parametrize(
    ("masks", "fields", "message"),
    [
        (True, {"model": "rotmnist_p4_cnn"}, "model: expected a network with classes at each position"),
        (False, {"model": "unet_p4"}, "model: expected a network that classifies whole images"),
        (True, {"best_metric": "f1"}, "best_metric: f1 is for images with labels"),
        (False, {"best_metric": "dice"}, "best_metric: dice is for images with masks"),
        (True, {"sampling": "balanced"}, "sampling: expected 'uniform' for images with masks; got 'balanced'"),
        (True, {"image_size": (8, 8)}, "image_size: expected .* for images with masks"),
        (False, {"tile_size": (8, 8)}, "tile_size: expected .* for images with labels"),
        (True, {"task": "ordinal"}, "task=ordinal needs images without masks"),
        (False, {"task": "segmentation"}, "task=segmentation needs folders images and masks"),
    ],
)
def test_fields_of_the_other_kind_of_data_are_refused(masks, fields, message):
    with pytest.raises(UserError, match=message):
        for_data(changed(**fields), masks=masks)
