import numpy as np
from PIL import Image

from experiments.results import plots


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_predictions_mark_mistakes_in_red(tmp_path):
    images = np.random.default_rng(0).uniform(size=(14, 8, 8, 1)).astype(np.float32)
    labels = np.arange(14) % 10
    logits = np.eye(10)[labels]
    for name, given in {"right": labels, "wrong": (labels + 1) % 10}.items():
        plots.predictions(images, logits, given, tmp_path / f"{name}.png")
    red = {name: (pixels(tmp_path / f"{name}.png") == (255, 0, 0)).all(axis=-1).sum() for name in ("right", "wrong")}
    assert red["right"] == 0
    assert red["wrong"] > 50


def test_feature_maps_show_a_panel_for_each_pose_and_the_image(tmp_path):
    generator = np.random.default_rng(0)
    maps = generator.uniform(size=(8, 8, 4))
    turned = np.roll(np.rot90(maps), 1, axis=2)
    image = generator.uniform(size=(8, 8, 3))
    plots.feature_maps(image, np.rot90(image), maps, turned, tmp_path / "maps.png")
    plots.feature_maps(image, image, maps, maps, tmp_path / "same.png")
    assert pixels(tmp_path / "maps.png").std() > 10
    assert not np.array_equal(pixels(tmp_path / "maps.png"), pixels(tmp_path / "same.png"))


def test_curve_and_confusion(tmp_path):
    names = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    records = [
        {"kind": "step"},
        *({"kind": "epoch", "epoch": epoch, **dict.fromkeys(names, 1 / epoch)} for epoch in (1, 2)),
    ]
    plots.learning_curve(records, tmp_path / "curve.png")
    plots.confusion(np.eye(3, dtype=int) * 7, tmp_path / "confusion.png")
    assert pixels(tmp_path / "curve.png").std() > 10
    assert pixels(tmp_path / "confusion.png").std() > 10


def test_errors_are_the_same_picture_each_time(tmp_path):
    point = {"label": "p4_cnn", "error": 2.1, "parameters": 24610, "operations": None, "is_ours": False}
    points = [point, {**point, "error": 2.0, "operations": 1e12, "is_ours": True}]
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plots.errors(points, tmp_path / name / "errors.svg")
        pages.append((tmp_path / name / "errors.svg").read_text())
    assert pages[0] == pages[1]
    # Published and ours against parameters, ours alone against operations.
    assert pages[0].count(">p4_cnn<") == 3
