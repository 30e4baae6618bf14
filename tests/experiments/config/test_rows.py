import pathlib

import jax
import numpy as np
import pytest

from experiments import data
from experiments.config import flags
from experiments.config import validation as settings
from experiments.training.parallel import create_layout
from experiments.training.run import build_model
from experiments.training.step import create_program
from gequi_jax import models

CONFIGS = pathlib.Path(flags.__file__).parent / "rows"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
# Files that hold what several rows share, and are configurations themselves.
SHARED = {"rotmnist", "cifar10", "pcam"}


@pytest.mark.parametrize("name", NAMES)
def test_config_is_valid_and_says_where_it_comes_from(name):
    config = flags.load_config(name)
    text = (CONFIGS / f"{name}.py").read_text()
    assert "python -m experiments.main" in text
    if name != "default" and name not in SHARED:
        assert name.startswith(config.model)
        assert f"--config experiments/config/rows/{name}.py" in text
        assert "Published: " in text
        assert "Tab. " in text


def test_every_model_of_a_table_row_has_a_config():
    rows = {name for name in models.list_models() if not name.startswith("digits_")}
    assert rows <= set(NAMES)


def shrunk(name):
    """The configuration with one seed, two images a batch, and generated data of the network's shape."""
    config = flags.load_config(name)
    config.num_seeds, config.batch_size = 1, 2
    config.num_validation, config.num_train = 4, 4
    config.dataset, config.num_epochs = "generated", 2
    settings.validate(config)
    return config, models.model_info(config.model)


def program_of(config):
    layout = create_layout(1, batch_size=2, seeded=False)
    program, state = create_program(config, lambda rngs: build_model(config, rngs), steps_per_epoch=2, layout=layout)
    return program, state, layout


# One configuration of each recipe.
RECIPES = [
    "rotmnist_r4_sa",
    "rotmnist_alpha_p4_cnn",
    "cifar10_p4_all_cnn",
    "cifar10_p4m_resnet44",
    "pcam_p4_densenet",
]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in RECIPES else pytest.mark.slow) for name in NAMES]
)
def test_config_builds_its_network_and_traces_a_training_step(name):
    config, info = shrunk(name)
    batch = {
        "image": jax.ShapeDtypeStruct((2, *info.input_shape), np.uint8),
        "label": jax.ShapeDtypeStruct((2,), np.int32),
    }

    def step(batch):
        program, state, _ = program_of(config)
        return program.train_step(state, batch)

    state, metrics = jax.eval_shape(step, batch)
    assert metrics["loss"].shape == ()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    if info.reported_params:
        assert parameters == pytest.approx(info.reported_params, rel=0.1)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "default" else pytest.mark.slow) for name in NAMES],
)
def test_config_takes_a_training_step_on_generated_data(name):
    config, info = shrunk(name)
    dataset = data.load_dataset(config, image_shape=info.input_shape, num_classes=info.num_classes)
    program, state, layout = program_of(config)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
    batches = data.training_batches(dataset.train, batch_size=2, num_steps=4, seeds=[0])
    state, metrics = program.train_step(state, layout.place(next(batches)))
    assert np.isfinite(metrics["loss"])
    moved = [not np.array_equal(old, new) for old, new in zip(before, jax.tree.leaves(state.params), strict=True)]
    assert np.mean(moved) > 0.5
