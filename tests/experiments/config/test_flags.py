import os
import pathlib
import subprocess
import sys

import pytest

from experiments.config import flags, schema
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
    (["--confg", "x"], "got '--confg'"),
    (["train"], "got 'train'"),
    (["--workdir"], "--workdir: expected a value"),
    (["--workdir="], "--workdir: expected the name of a directory"),
    (["--config", "--workdir=x"], "--config: expected a value"),
    (["--config", "missing.py"], "--config 'missing.py': expected DATASET:ROW or a Python file"),
    (["--config", "rotmnist_r4_s"], "did you mean rotmnist_r4_sa"),
    (["--config", "rotmnist:r4_s"], "did you mean rotmnist:r4_sa"),
    (["--config", "configs/rotmnist_r4_s.py"], "did you mean rotmnist_r4_sa"),
    (["--config", "no_function.py"], "expected a function get_config(); got none"),
    (["--config", "syntax.py"], "failed: SyntaxError"),
    (["--config", "raises.py"], "failed: KeyError"),
    (["--config", "exits.py"], "failed: SystemExit"),
    (["--config", "no_config.py"], "expected an ml_collections.ConfigDict; got a dict"),
    (["--config", "extra.py"], "got 'learning_rat'; did you mean learning_rate"),
    (["--config", "lacks.py"], "expected every field; got none named 'seed'"),
    (["--config", "wrong_type.py"], "num_epochs: expected a value of type int; got 'ten' (str)"),
    (["--config", "."], "--config '.': expected DATASET:ROW or a Python file"),
    (["--config.learning_rat=1"], "got 'learning_rat'; did you mean learning_rate"),
    (["--config.model.name=x"], "--config.model.name: expected a field"),
    (["--config.batch_size=large"], "--config.batch_size: expected an integer, such as 16; got 'large'"),
    (["--config.batch_size=1.5"], "expected an integer"),
    (["--config.learning_rate=fast"], "expected a number"),
    (["--config.compare_z2=maybe"], "expected True or False"),
    (["--config.batch_size=-4"], "batch_size: expected a positive number; got -4"),
    (["--config.batch_size=0"], "batch_size: expected a positive number; got 0"),
    (["--config.batch_size=5000"], "batch_size: expected at most 1257, the number of training images; got 5000"),
    (["--config.num_epochs=0"], "num_epochs: expected a positive number"),
    (["--config.learning_rate=nan"], "learning_rate: expected a positive number; got nan"),
    (["--config.weight_decay=-1"], "weight_decay: expected 0 or a positive number; got -1"),
    (["--config.ema_decay=1"], "ema_decay: expected a number from 0 to below 1"),
    (["--config.seed=-1"], "seed: expected 0 or a positive number"),
    (["--config.num_seeds=0"], "num_seeds: expected a positive number"),
    (["--config.num_validation=1437"], "the split is empty"),
    (["--config.decay_epochs=one"], "decay_epochs: expected positive numbers"),
    (["--config.model=digits_r4_s"], "did you mean digits_r4_sa"),
    (["--config.model=unet_p4m"], "since these have no masks; got 'unet_p4m'"),
    (["--config.model_overrides.no_such_argument=1"], "digits_alpha_f_p4_cnn cannot be built"),
    (["--config.dataset=digit"], "got 'digit'; did you mean digits"),
    (["--config.dataset=rotmnist", "--config.data_dir=nowhere"], "nowhere"),
    (["--config.dataset=cifar10", "--config.data_dir=nowhere"], "experiments.data.prepare cifar10"),
    (["--config.dataset=npz", "--config.data_dir=nowhere"], "got 'nowhere', which is no file"),
    (["--config.dataset=folder", "--config.data_dir=nowhere"], "there is no folder nowhere"),
    (["--config.optimizer=adm"], "did you mean adam"),
    (["--config.schedule=cosin"], "did you mean cosine"),
    (["--config.normalization=unit"], "did you mean mnist or unit_range"),
    (
        ["--config.augmentation=random_rotation,spin"],
        "augmentation: expected one of random_rotation, random_quarter_turn, random_flip, random_crop, random_symmetry",
    ),
    (["--config.precision=float8"], "precision: expected one of float32, bfloat16; got 'float8'"),
    (["--config.num_devices=99"], "num_devices: expected at most"),
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
    assert result.stderr.startswith(
        "error: --config.batch_sise: expected a field; got 'batch_sise'; did you mean batch_size"
    )
    assert result.stderr.count("\n") == 1


def test_help_lists_every_field(capsys):
    main(["--help"])
    printed = capsys.readouterr().out
    for name, field in schema.FIELDS.items():
        assert f"--config.{name}=" in printed
        assert field.help in printed


def test_help_does_not_wait_for_jax():
    code = "import sys; from experiments.main import main; main(['--help']); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)


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
    for name in ("rotmnist_p4_cnn", "rotmnist:p4_cnn"):
        assert flags.parse(["--config", name]).workdir == pathlib.Path("runs/rotmnist_p4_cnn")
