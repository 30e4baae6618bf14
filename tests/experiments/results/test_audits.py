"""`--config.audit`: what is said and recorded before, during and after training."""

import pytest
from flax import nnx

from experiments.config import flags
from experiments.results import audits, logs
from experiments.training import finish
from experiments.training import run as train
from gequi_jax import nn
from gequi_jax.groups import cyclic_group


def recorded(workdir):
    return [record for record in logs.read_metrics(workdir) if record["kind"] == "audit"]


def test_a_run_audits_before_in_between_and_after(tiny_config, tmp_path, capsys):
    """The tiny network is linear in the pixels: the audit says so, and training goes on."""
    tiny_config.audit, tiny_config.audit_every_epochs = True, 2
    train.run(tiny_config, tmp_path)
    said = capsys.readouterr().out
    for when in ("before training", "after epoch 2", "after training, of epoch"):
        assert f"audit {when}" in said
    assert said.count("Equivariance to p4, 4 elements") == 3
    records = recorded(tmp_path)
    steps_per_epoch = 70 // 16
    assert [record["step"] for record in records] == [0, 2 * steps_per_epoch, 3 * steps_per_epoch]
    assert [record["final"] for record in records] == [False, False, True]
    for record in records:
        assert record["passed"] is False
        assert record["fault"] == "hidden"
        assert record["largest_error"] > 1e-2


def test_a_run_broken_off_behind_its_last_audit_records_it_once(tiny_config, tmp_path, monkeypatch):
    tiny_config.audit = True

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finish, "evaluate_run", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run(tiny_config, tmp_path)
    first = recorded(tmp_path)
    train.run(tiny_config, tmp_path)
    assert [record["final"] for record in first] == [record["final"] for record in recorded(tmp_path)] == [False, True]


def test_a_run_that_is_not_asked_does_not_audit(tiny_config, tmp_path, capsys):
    train.run(tiny_config, tmp_path)
    assert recorded(tmp_path) == []
    assert "audit" not in capsys.readouterr().out


class Sound(nnx.Module):
    """A layer and a readout that keep the symmetry."""

    def __init__(self):
        self.lift = nn.LiftingConv(1, 2, 3, group=cyclic_group(4), rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.lift(x).max(axis=(1, 2, 3))


@pytest.mark.parametrize("table", [False, True])
def test_a_network_without_a_fault_takes_one_line_unless_the_table_is_asked_for(table, tmp_path, capsys):
    with logs.MetricsLog(tmp_path, step=0) as log, logs.Terminal(1) as terminal:
        report = audits.audit(Sound(), group=cyclic_group(4), image_shape=(8, 8, 1))
        audits.say(report, "after epoch 1", terminal, table=table)
        log.write(audits.record(report, step=7, final=False))
    said = capsys.readouterr().out
    assert "audit after epoch 1: all layers are equivariant; largest relative error" in said
    assert ("No layer loses equivariance." in said) == table
    (record,) = recorded(tmp_path)
    assert record["passed"] is True
    assert record["fault"] is None
    assert record["step"] == 7
    assert record["largest_error"] <= record["tolerance"] == pytest.approx(1e-5)


def test_the_command_line_has_the_fields():
    command = flags.parse(["--config.audit=True", "--config.audit_every_epochs=5"])
    assert command.config.audit is True
    assert command.config.audit_every_epochs == 5
