import json
import pathlib
import re
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from experiments.visualize import __main__ as visualize
from experiments.visualize.steerability import measure as steerability
from experiments.visualize.text import number

MISTAKES = [
    ([], "--workdir runs/default: expected a finished run; got no summary.json; run python -m experiments.main"),
    (["--workdir=nowhere"], "--workdir nowhere: expected a finished run"),
    (["attention", "--index=first"], "--index"),
    (["--index=1", "--image=a.png"], "argument --image: not allowed with argument --index"),
    (["receptive_fields", "--group=p4x"], "--group p4x: "),
    (
        ["receptive_fields", "--group=r16"],
        "--group r16: expected a group of 2 to 8 elements, which fit on a page; got 16",
    ),
    (["receptive_fields", "--group=z2"], "--group z2: expected a group of 2 to 8 elements"),
    (["receptive_fields", "--group=p4", "--workdir=a"], "argument --workdir: not allowed with argument --group"),
    (["receptive_fields", "--workdir=nowhere"], "--workdir nowhere: expected a finished run"),
    (["receptive_fields", "--index=-1"], "--index: expected 0 to 1256, one of the upright digits; got -1"),
    (["receptive_fields", "--query=8,8"], "--query: expected a position of the image, 0,0 to 7,7; got '8,8'"),
    (["receptive_fields", "--query=3"], "--query: expected two integers ROW,COLUMN, such as 3,4; got '3'"),
    (["pose_index", "--index=1250"], "--index: expected 0 to 1249, one of the upright digits; got 1250"),
    (["pose_index", "--seed=some"], "--seed"),
    (["steerabilty"], "invalid choice: 'steerabilty' (choose from"),
    (["steerability", "--angle=3"], "unrecognized arguments: --angle=3"),
    (["steerability", "--seeds=0"], "--seeds: expected a number from 1 to 100; got 0"),
    (["steerability", "--seeds=some"], "--seeds"),
    (["steerability", "--window-sizes=5,6"], "--window-sizes: expected odd numbers from 3 to 15; got '5,6'"),
    (
        ["steerability", "--window-sizes="],
        "--window-sizes: expected integers separated by commas, such as 5,7,9; got ''",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_one_line_and_code_2(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        visualize.main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_output_that_is_a_file_is_a_mistake(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        visualize.main(["steerability", "--out", str(tmp_path / "file")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["visualize", "nothing"])
    monkeypatch.delitem(sys.modules, "experiments.visualize.__main__")
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("experiments.visualize", run_name="__main__")
    assert capsys.readouterr().err.startswith("error: argument PICTURE: invalid choice: 'nothing'")


def test_the_picture_shows_the_numbers_that_are_measured(tmp_path, capsys):
    visualize.main(["steerability", f"--out={tmp_path}", "--window-sizes=3", "--seeds=1"])
    printed = capsys.readouterr().out
    pixels = np.asarray(Image.open(tmp_path / "steerability.png").convert("RGB"))
    assert pixels.shape[1] == 1200
    assert pixels.std() > 10
    errors = steerability.layer_errors((3,), 1)
    (eighth,) = steerability.rotations(angles=(45,))
    written = json.loads((tmp_path / "steerability.json").read_text())
    caption = written["caption"]
    assert caption in printed
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "steerability.svg").read_text())
    assert "".join(caption.split()) in "".join("".join(texts).split()).replace("&quot;", '"')
    assert [rotation["angle"] for rotation in written["rotations"]] == [0, 15, 30, 45, 60, 75, 90]
    for rotation in written["rotations"]:
        shown = (f"error {rotation['kernel_error']:.2f}", f"return error {rotation['kernel_return_error']:.2f}")
        for words in shown if rotation["angle"] % 90 else ("error 0", "return error 0"):
            assert words in texts
    assert f"is {eighth.kernel_error:.2f} ({eighth.kernel_error_in_disc:.2f} within" in caption
    assert f"its return error {eighth.kernel_return_error:.2f}" in caption
    for error in errors:
        assert f"{error.mean:.2f}" in caption
        assert f"| {error.layer}, {error.window} window | {error.mean:.2f} |" in printed


def test_numbers_are_short_and_never_rounded_to_zero():
    shown = {value: number(value) for value in (0.0, 3.3e-7, 1.2e-12, 0.004, 0.0051, 0.127, 1.5)}
    assert list(shown.values()) == ["0", "3e-7", "1e-12", "4e-3", "0.01", "0.13", "1.50"]


@pytest.mark.parametrize("name", visualize.PICTURES)
def test_every_picture_measures_and_draws_apart(name):
    folder = pathlib.Path(visualize.__file__).parent / name
    for part in ("measure", "draw"):
        assert (folder / part).is_dir() or (folder / f"{part}.py").is_file()
