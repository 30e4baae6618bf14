import pathlib

import jax
import numpy as np
import pytest

from experiments import command_line, data, settings
from experiments.parallel import create_layout
from experiments.steps import create_program
from experiments.train import build_model
from gequi_jax import models

CONFIGS = pathlib.Path(command_line.__file__).parent / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
# Files that hold what several rows share, and are configurations themselves.
SHARED = {"rotmnist"}


@pytest.mark.parametrize("name", NAMES)
def test_config_is_valid_and_says_where_it_comes_from(name):
    config = command_line.load_config(name)
    text = (CONFIGS / f"{name}.py").read_text()
    assert "python -m experiments.main" in text
    if name != "default" and name not in SHARED:
        assert config.model == name
        assert f"--config experiments/configs/{name}.py" in text
        assert "Published" in text
        assert "Tab." in text


def test_every_model_of_a_table_row_has_a_config():
    rows = {name for name in models.list_models() if not name.startswith("digits_")}
    assert rows <= set(NAMES)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if command_line.load_config(name).model in models.list_models()]
)
def test_config_takes_a_training_step_on_generated_data(name):
    config = command_line.load_config(name)
    info = models.model_info(config.model)
    # Shrunk: two generated images, one seed, one device.
    config.batch_size = config.num_seeds = 1
    config.num_validation, config.num_train = 4, 4
    config.dataset, config.num_epochs = "generated", 2
    settings.validate(config)
    dataset = data.load_dataset(config, image_shape=info.input_shape, num_classes=info.num_classes)
    layout = create_layout(1, batch_size=1, seeded=False)
    program, state = create_program(config, lambda rngs: build_model(config, rngs), steps_per_epoch=4, layout=layout)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
    batches = data.training_batches(dataset.train, batch_size=1, num_steps=4, seeds=[0])
    state, metrics = program.train_step(state, layout.place(next(batches)))
    assert np.isfinite(metrics["loss"])
    moved = [not np.array_equal(old, new) for old, new in zip(before, jax.tree.leaves(state.params), strict=True)]
    assert np.mean(moved) > 0.5
