import os
import pathlib
import subprocess
import sys

import pytest

from experiments.config import flags
from experiments.main import main

ROOT = pathlib.Path(__file__).parents[3]

CONFIG_FILES = {
    "no_function.py": "x = 1\n",
    "syntax.py": "def get_config(:\n",
    "raises.py": "def get_config():\n    raise KeyError('nothing')\n",
    "exits.py": "raise SystemExit(0)\n",
    "no_config.py": "def get_config():\n    return {'seed': 0}\n",
    "extra.py": "from experiments.config import default_config\n\ndef get_config():\n    config = default_config()\n"
    "    config.learning_rat = 1.0\n    return config\n",
    "lacks.py": "from experiments.config import default_config\n\ndef get_config():\n    config = default_config()\n"
    "    del config.seed\n    return config\n",
    "wrong_type.py": "from experiments.config import default_config\n\ndef get_config():\n    config = default_config().to_dict()\n"
    "    config['num_epochs'] = 'ten'\n    import ml_collections\n    return ml_collections.ConfigDict(config)\n",
}

MISTAKES = [
    (["--confg", "x"], "unknown argument '--confg'"),
    (["train"], "unknown argument 'train'"),
    (["--workdir"], "--workdir needs a value"),
    (["--workdir="], "--workdir needs the name of a directory"),
    (["--config", "--workdir=x"], "--config needs a value"),
    (["--config", "missing.py"], "no config file 'missing.py'"),
    (["--config", "rotmnist_r4_s"], "did you mean rotmnist_r4_sa"),
    (["--config", "no_function.py"], "has no function get_config()"),
    (["--config", "syntax.py"], "failed: SyntaxError"),
    (["--config", "raises.py"], "failed: KeyError"),
    (["--config", "exits.py"], "failed: SystemExit"),
    (["--config", "no_config.py"], "returned a dict, expected an ml_collections.ConfigDict"),
    (["--config", "extra.py"], "sets 'learning_rat', which is no field (did you mean learning_rate"),
    (["--config", "lacks.py"], "lacks the field 'seed'"),
    (["--config", "wrong_type.py"], "field 'num_epochs' expects a int, came 'ten' (str)"),
    (["--config", "."], "no config file '.'"),
    (["--config.learning_rat=1"], "no field 'learning_rat' (did you mean learning_rate"),
    (["--config.model.name=x"], "no field 'model.name'"),
    (["--config.batch_size=large"], "--config.batch_size=large: expected an integer, such as 16"),
    (["--config.batch_size=1.5"], "expected an integer"),
    (["--config.learning_rate=fast"], "expected a number"),
    (["--config.compare_z2=maybe"], "expected True or False"),
    (["--config.batch_size=-4"], "batch_size must be positive, came -4"),
    (["--config.batch_size=0"], "batch_size must be positive, came 0"),
    (["--config.batch_size=5000"], "only 1257 training images"),
    (["--config.num_epochs=0"], "num_epochs must be positive"),
    (["--config.learning_rate=nan"], "learning_rate must be positive, came nan"),
    (["--config.weight_decay=-1"], "weight_decay must not be negative"),
    (["--config.ema_decay=1"], "ema_decay must lie in [0, 1)"),
    (["--config.seed=-1"], "seed must not be negative"),
    (["--config.num_seeds=0"], "num_seeds must be positive"),
    (["--config.num_validation=1437"], "the split is empty"),
    (["--config.decay_epochs=one"], "decay_epochs must be positive numbers"),
    (["--config.model=digits_r4_s"], "did you mean digits_r4_sa"),
    (["--config.model_overrides.no_such_argument=1"], "digits_alpha_f_p4_cnn cannot be built"),
    (["--config.dataset=digit"], "dataset='digit' is not known; did you mean digits"),
    (["--config.dataset=rotmnist", "--config.data_dir=nowhere"], "nowhere"),
    (["--config.dataset=cifar10", "--config.data_dir=nowhere"], "experiments.data.prepare cifar10"),
    (["--config.dataset=npz", "--config.data_dir=nowhere"], "no file 'nowhere'"),
    (["--config.dataset=folder", "--config.data_dir=nowhere"], "no folder nowhere"),
    (["--config.optimizer=adm"], "did you mean adam"),
    (["--config.schedule=cosin"], "did you mean cosine"),
    (["--config.normalization=unit"], "did you mean mnist or unit_range"),
    (["--config.augmentation=random_rotation,spin"], "augmentation='spin' is not known"),
    (["--config.precision=float8"], "precision='float8' is not known"),
    (["--config.num_devices=99"], "num_devices=99, but there are"),
    (["--workdir", "a_file"], "work directory 'a_file' cannot be used"),
    (["--workdir", "a_file/below"], "cannot be used"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_two(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in CONFIG_FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "a_file").write_text("")
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1, errors
    assert errors.startswith("error: ")
    assert message in errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(tmp_path, capsys):
    tmp_path.chmod(0o500)
    with pytest.raises(SystemExit):
        main(["--workdir", str(tmp_path / "run")])
    assert "cannot be used (Permission denied)" in capsys.readouterr().err


def test_a_mistake_in_a_process_of_its_own():
    command = [sys.executable, "-m", "experiments.main", "--config.batch_sise=3"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: config has no field 'batch_sise' (did you mean batch_size")
    assert result.stderr.count("\n") == 1


def test_help_lists_every_field(capsys):
    main(["--help"])
    printed = capsys.readouterr().out
    for key in flags.load_config("default"):
        assert key in printed


def test_overrides_take_the_type_of_the_field(tmp_path):
    command = flags.parse(
        [
            "--config=default",
            "--config.learning_rate=1",
            "--config.num_epochs",
            "7",
            "--config.compare_z2=true",
            "--config.augmentation=random_crop,random_flip",
            "--config.decay_epochs=(5, 10)",
            "--config.model_overrides.num_heads=2",
            "--config.model_overrides.group=r8",
            f"--workdir={tmp_path}",
        ]
    )
    config = command.config
    assert config.learning_rate == 1.0
    assert isinstance(config.learning_rate, float)
    assert config.num_epochs == 7
    assert config.compare_z2 is True
    assert config.augmentation == ("random_crop", "random_flip")
    assert config.decay_epochs == (5, 10)
    assert config.model_overrides.to_dict() == {"num_heads": 2, "group": "r8"}
    assert command.workdir == tmp_path
    assert flags.parse([]).workdir == pathlib.Path("runs/default")
    assert flags.parse(["--config.augmentation="]).config.augmentation == ()
    assert flags.parse(["--config", "rotmnist_p4_cnn"]).workdir == pathlib.Path("runs/rotmnist_p4_cnn")
