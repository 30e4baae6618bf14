"""Finished runs in Python."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.errors import UserError
from experiments.results import summary
from experiments.runs import load_run, with_downsampling
from experiments.training import run as train


@pytest.mark.parametrize("fields", [{}, {"ema_decay": 0.9, "num_seeds": 2}], ids=["one seed", "average of two seeds"])
def test_the_restored_network_has_the_reported_accuracy(fields, tiny_config, tmp_path):
    tiny_config.update({"num_epochs": 1, **fields})
    result = train.run(tiny_config, tmp_path)
    run = load_run(tmp_path)
    batch = run.load_data().test().fetch(np.arange(40))
    predicted = np.asarray(run.model(run.normalize(jnp.asarray(batch["image"])))).argmax(axis=-1)
    assert (predicted == batch["label"]).mean() == pytest.approx(result["test_accuracy_by_seed"][0])
    assert run.accuracy == result["test_accuracy"]
    assert run.image_shape == (8, 8, 1)
    assert run.group.order == 4
    assert with_downsampling(run, "max_pool") is None


def test_a_run_of_an_earlier_version_gets_the_defaults_of_newer_fields(tiny_config, tmp_path):
    tiny_config.num_epochs = 1
    result = train.run(tiny_config, tmp_path)
    del result["config"]["audit_every_epochs"]
    summary.save(result | {"config": {**result["config"], "a_field_that_is_gone": 1}}, tmp_path)
    assert load_run(str(tmp_path)).config.audit_every_epochs == 0


def test_what_cannot_be_loaded_is_explained(tmp_path):
    with pytest.raises(
        UserError, match=r"expected a finished run; got no summary\.json; run python -m experiments\.main"
    ):
        load_run(tmp_path)
    (tmp_path / summary.FILE).write_text(json.dumps({"config": {}}))
    with pytest.raises(UserError, match="expected its checkpoints; got no such folder"):
        load_run(tmp_path)
