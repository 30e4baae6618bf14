import jax
import numpy as np
import pytest

from experiments import data
from experiments.config import rows, schema
from experiments.config.loading import default_workdir, load_config
from experiments.config.validation import validate
from experiments.results.classification import SELECTABLE
from experiments.trained.build import build_model, image_shape, load_data
from experiments.training import optimizers
from experiments.training.objective import CLASS_WEIGHTS, Objective
from experiments.training.parallel import create_layout
from experiments.training.pixel_objective import SEGMENTATION_LOSSES, PixelObjective
from experiments.training.program import create_program
from gequi_jax import models
from tests import shrunk

NAMES = list(rows.names())


@pytest.mark.parametrize("name", NAMES)
def test_row_is_valid_and_states_its_source(name):
    row, config = rows.find(name), load_config(name)
    validate(config)
    if name.startswith(("adrenalmnist3d:", "membranes:")):
        assert "selects" in row.note
        return
    assert name.replace(":", "_").startswith(config.model) or "of no table" in row.title
    if not name.startswith("digits:"):
        assert "Tab. " in row.title or "of no table" in row.title
        assert "selects" in row.note
    info = models.model_info(config.model)
    if info.reported_metric and not config.model_overrides:
        percent = float(row.result.split(" ")[0])
        accuracy = percent if "accuracy" in row.result else 100 - percent
        assert accuracy == pytest.approx(info.reported_metric, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_former_names_and_files_are_aliases(name):
    former = name.replace(":", "_")
    expected = load_config(name).to_dict()
    for source in (former, f"experiments/configs/{former}.py"):
        assert load_config(source).to_dict() == expected
        assert default_workdir(source) == default_workdir(name)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("default", "digits:alpha_f_p4_cnn"),
        ("rotmnist", "rotmnist:r4_sa"),
        ("cifar10", "cifar10:z2_sa"),
        ("pcam", "pcam:r4_sa"),
    ],
)
def test_a_data_set_alone_is_its_first_row(alias, name):
    assert load_config(alias).to_dict() == load_config(name).to_dict()


def test_every_model_of_a_table_row_has_a_row():
    former = {name.replace(":", "_") for name in NAMES}
    published = {name for name in models.list_models() if models.model_info(name).table is not None}
    assert published <= former


def test_the_default_row_changes_no_field():
    assert load_config("default").to_dict() == schema.default_config().to_dict()


@pytest.mark.parametrize(
    ("field", "table"),
    [
        ("dataset", [*data.DATASETS, data.GENERATED]),
        ("task", ["auto", *data.TASKS]),
        ("resize_mode", data.RESIZE_MODES),
        ("sampling", data.SAMPLINGS),
        ("class_weights", CLASS_WEIGHTS),
        ("segmentation_loss", SEGMENTATION_LOSSES),
        ("best_metric", {*SELECTABLE, "dice", "iou"}),
        ("normalization", [data.MEASURED, *data.NORMALIZATIONS]),
        ("augmentation", data.AUGMENTATIONS),
        ("optimizer", optimizers.OPTIMIZERS),
        ("schedule", optimizers.SCHEDULES),
    ],
)
def test_the_schema_offers_exactly_what_the_program_has(field, table):
    """The schema lists names, so that --help does not import JAX."""
    assert set(schema.FIELDS[field].choices) == set(table)


@pytest.mark.parametrize("name", schema.FIELDS)
def test_every_default_lies_in_its_range(name):
    field = schema.FIELDS[name]
    if type(field.default) in (int, float):
        assert field.default in field.range
    for choice in field.default if isinstance(field.default, tuple) else [field.default]:
        assert not field.choices or choice in field.choices
    assert field.help.endswith(".")


def small_run(name):
    """The configuration with one seed, two images a batch, and generated data of the network's shape."""
    config = load_config(name)
    config.num_seeds, config.batch_size = 1, 2
    config.num_validation, config.num_train = 4, 4
    config.dataset, config.num_epochs, config.tile_size = "generated", 2, ()
    validate(config)
    return config, models.model_info(config.model)


def program_of(config):
    layout = create_layout(1, batch_size=2, seeded=False)
    masks = models.model_info(config.model).output == "grid"
    program, state = create_program(
        config,
        lambda rngs: build_model(config, rngs),
        normalize=data.NORMALIZATIONS["unit_range"],
        steps_per_epoch=2,
        layout=layout,
        objective=PixelObjective(config.segmentation_loss, np.ones(2, np.float32)) if masks else Objective(),
    )
    return program, state, layout


# One configuration of each recipe.
RECIPES = [
    "rotmnist:r4_sa",
    "rotmnist:alpha_p4_cnn",
    "rotmnist:vit_p4",
    "cifar10:p4_all_cnn",
    "cifar10:p4m_resnet44",
    "pcam:p4_densenet",
]


@pytest.mark.parametrize("name", shrunk.slow_unless(("cifar10:p4_all_cnn", "pcam:p4_densenet"), NAMES))
def test_config_builds_its_network_and_traces_a_training_step(name):
    config, info = small_run(name)
    batch = {
        "image": jax.ShapeDtypeStruct((2, *image_shape(config)), np.uint8),
        "label": jax.ShapeDtypeStruct((2, *image_shape(config)[:-1]) if info.output == "grid" else (2,), np.int32),
    }

    def step(batch):
        program, state, _ = program_of(config)
        return program.train_step(state, batch)

    state, metrics = jax.eval_shape(step, batch)
    assert metrics["loss"].shape == ()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    if info.reported_params and "features" not in config.model_overrides:
        assert parameters == pytest.approx(info.reported_params, rel=0.1)


def recipe(name):
    """All fields but those of the network."""
    fields = load_config(name).to_dict().items()
    return str([(field, value) for field, value in fields if field not in ("model", "model_overrides", "z2_model")])


TRAINED = [
    "digits:alpha_f_p4_cnn",
    *RECIPES,
    "rotmnist:z2_cnn_turned",
    "rotmnist:p4_cnn_wide",
    "cifar10:z2m_sa",
    "cifar10:vit_p4m",
    "pcam:r4_sa",
    "adrenalmnist3d:octahedral_cnn",
    "membranes:p4m",
]


def test_a_step_is_taken_by_every_recipe():
    assert {recipe(name) for name in TRAINED} == {recipe(name) for name in NAMES}


@pytest.mark.parametrize(
    "name", [name if name == TRAINED[0] else pytest.param(name, marks=pytest.mark.slow) for name in TRAINED]
)
def test_config_takes_a_training_step_on_generated_data(name):
    """With its network at its smallest size; `tests/models` takes gradients of all others, and those above are traced."""
    config, _ = small_run(name)
    config.model_overrides = {**config.model_overrides.to_dict(), **shrunk.overrides(config.model)}
    dataset = load_data(config)
    program, state, layout = program_of(config)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]
    batches = data.training_batches(dataset.train, batch_size=2, num_steps=4, seeds=[0])
    state, metrics = program.train_step(state, layout.place(next(batches)))
    assert np.isfinite(metrics["loss"])
    moved = [not np.array_equal(old, new) for old, new in zip(before, jax.tree.leaves(state.params), strict=True)]
    assert np.mean(moved) > 0.5
