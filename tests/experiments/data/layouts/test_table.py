import numpy as np
import pytest

from experiments import data
from experiments.errors import UserError
from tests.experiments.data.layouts.images import all_examples, write_image


def write_table(folder, rows, columns, name="table.csv"):
    for index, row in enumerate(rows):
        write_image(folder / row[0], index)
    delimiter = "\t" if name.endswith("tsv") else ","
    path = folder / name
    path.write_text("\n".join(delimiter.join(map(str, row)) for row in [columns, *rows]) + "\n")
    return str(path)


def rows_of(count=24, **extra):
    return [[f"images/{i}.png", "ab"[i % 2], *(values(i) for values in extra.values())] for i in range(count)]


@pytest.mark.parametrize("name", ["table.csv", "table.tsv"])
def test_files_and_labels_are_enough(tmp_path, name):
    dataset = data.load_table(write_table(tmp_path, rows_of(), ["file", "label"], name))
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test()) == 24
    assert dataset.labels.names == ("a", "b")


def test_splits_of_the_table_are_kept(tmp_path):
    words = ["train", "train", "val", "Test"]
    path = write_table(tmp_path, rows_of(split=lambda i: words[i % 4]), ["file", "label", "split"])
    dataset = data.load_table(path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (12, 6, 6)


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_is_in_one_split(tmp_path, seed):
    path = write_table(tmp_path, rows_of(group=lambda i: f"patient {i // 3}"), ["file", "label", "group"])
    dataset = data.load_table(path, seed=seed)
    owner = {}
    for index, split in enumerate((dataset.train, dataset.validation, dataset.test())):
        for path in split.pixels.paths:
            patient = int(path.stem) // 3
            assert owner.setdefault(patient, index) == index
    assert len(owner) == 8
    assert set(owner.values()) == {0, 1, 2}


def test_without_groups_a_patient_is_divided(tmp_path):
    dataset = data.load_table(write_table(tmp_path, rows_of(), ["file", "label"]))
    held = {int(path.stem) // 3 for path in dataset.test().pixels.paths}
    assert held & {int(path.stem) // 3 for path in dataset.train.pixels.paths}


def test_several_labels_and_grades(tmp_path):
    labels = ["", "mass", "mass|nodule", "edema"]
    rows = [[f"{i}.png", labels[i % 4]] for i in range(16)]
    path = write_table(tmp_path, rows, ["file", "label"])
    dataset = data.load_table(path, "multi_label")
    assert dataset.labels.names == ("edema", "mass", "nodule")
    images, encoded = all_examples(dataset.train)
    assert encoded.shape == (len(images), 3)
    for path, row in zip(dataset.train.pixels.paths, encoded, strict=True):
        assert [name for name, value in zip(dataset.labels.names, row, strict=True) if value] == sorted(
            filter(None, labels[int(path.stem) % 4].split("|"))
        )
    graded = write_table(
        tmp_path, [[f"{i}.png", [10, 2, 3][i % 3]] for i in range(24)], ["file", "label"], "grades.csv"
    )
    dataset = data.load_table(graded, "ordinal")
    assert dataset.labels == data.LabelNames(("2", "3", "10"), "ordinal")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for index in range(16):
        write_image(tmp_path / f"{index}.png", index)
    columns = {"file": [f"{i}.png" for i in range(16)], "label": [i % 2 for i in range(16)]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    dataset = data.load_table(str(tmp_path / "table.parquet"))
    assert dataset.labels.names == ("0", "1")
    (tmp_path / "table.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        data.load_table(str(tmp_path / "table.parquet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\n0.png,a\n", "has no column file; it has name, label"),
        ("file,label\n", "has no rows"),
        ("file,label\n0.png\n", "row 2 has 1 fields, the first 2"),
        ("file,label\nnowhere.png,a\n", "1 of its 1 files are not there"),
        ("file,label\n0.png,a\n0.png,b\n", "twice"),
        ("file,label,split\n0.png,a,training\n", "got 'training'"),
        ("file,label,split,group\n0.png,a,train,p\n1.png,b,test,p\n", "group p is in test and train"),
        ("file,label\n0.png,a|b\n1.png,c\n", "set --config.task=multi_label"),
        ("file,label,split\n0.png,a,test\n1.png,b,test\n", "at least two classes; got none"),
        ('file,label\n"0.png,a\n', "cannot be read as a table"),
    ],
)
def test_mistakes_are_one_line(tmp_path, text, message):
    for index in range(2):
        write_image(tmp_path / f"{index}.png", index)
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        data.load_table(str(tmp_path / "table.csv"))
    assert "\n" not in str(caught.value)


def test_grades_must_be_numbers(tmp_path):
    path = write_table(tmp_path, [[f"{i}.png", "mild"] for i in range(4)], ["file", "label"])
    with pytest.raises(UserError, match="grades of an ordinal task are numbers; got mild"):
        data.load_table(path, "ordinal")
    np.testing.assert_array_equal(data.LabelNames(("a", "b"), "classes").encode(["b", "a"], name=""), [1, 0])
