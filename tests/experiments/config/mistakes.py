"""Generators of mistakes on the command line and in files: each makes arguments that must be refused."""

import os
import re
import string

import numpy as np

from experiments.config import default_config, rows, schema
from experiments.data.layouts import MEDMNIST
from gequi_jax import models

DEFAULTS = default_config()
FIELDS = {
    kind: [name for name, value in DEFAULTS.items() if type(value) is kind] for kind in (int, float, bool, str, tuple)
}
ODD = "äß中文🙂\u2028\x85\t\n'\"\\%{}()[],;:-–_ .#$&|<>*?!~^`@=+/" + string.ascii_letters + string.digits
CONFIGS = {name.replace(":", "_") for name in rows.names()} | {*rows.names(), "default", *rows.TABLES}
NO_JSON = ["1j", "{1}", "b'x'", "...", "{1: {2}}", "[1, {2}]", "{(1, 2): 3}"]
NAMES = {name: list(field.choices) for name, field in schema.FIELDS.items() if field.choices}
NUMBERS = [name for name, field in schema.FIELDS.items() if type(field.default) in (int, float)]
POSITIVE = [name for name in NUMBERS if schema.FIELDS[name].range.open_minimum]
BELOW_ONE = [name for name in NUMBERS if schema.FIELDS[name].range.below == 1]
OWN_FILE = '''"""A configuration."""

from experiments.config import default_config


def get_config():
    """Returns the defaults."""
    config = default_config()
    config.seed = 3
    return config
'''


def text(rng, longest=12, shortest=0):
    return "".join(rng.choice(ODD) for _ in range(rng.randint(shortest, longest)))


def misspelt(rng, word):
    """The word with one letter lost, doubled, exchanged, replaced or in the other case."""
    place, letter = rng.randrange(len(word)), rng.choice(string.ascii_lowercase + "_-é")
    return rng.choice(
        [
            word[:place] + word[place + 1 :],
            word[:place] + letter + word[place:],
            word[:place] + letter + word[place + 1 :],
            word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
            word[:place] + word[place].swapcase() + word[place + 1 :],
        ]
    )


def unless(accepted, make):
    """What `make` gives, once it is a mistake."""
    while accepted(value := make()):
        pass
    return value


def reads_as(kind, value):
    try:
        kind(value)
    except ValueError:
        return False
    return True


def template(name):
    return re.sub(r"(z2m?|[pr][1-9]\d*m?)", "{group}", name)


TEMPLATES = {template(name) for name in models.list_models()}


# Each takes a random generator and a folder to write to, and gives the arguments.


def unknown_flag(rng, folder):
    flags = ["--config", "--workdir", "--help", "--distributed", "--num_processes"]
    known = (*flags, "-h", "--coordinator_address", "--process_id", "--config")
    word = unless(
        lambda word: word.split("=")[0] in known or word.startswith("--config."),
        lambda: rng.choice(
            [misspelt(rng, rng.choice(flags)), f"--{text(rng, shortest=1)}", text(rng), f"-{text(rng)}"]
        ),
    )
    return rng.choice([[word], [f"{word}=1"], ["--config.seed=1", word], [word, "1"]])


def unknown_field(rng, folder):
    word = unless(
        lambda word: word in DEFAULTS or word.startswith("model_overrides."),
        lambda: rng.choice(
            [misspelt(rng, rng.choice(list(DEFAULTS))), text(rng).replace("=", ""), "seed.x", "model_overrides"]
        ),
    )
    return [f"--config.{word}={rng.choice(['1', 'x', '', 'True'])}"]


def missing_value(rng, folder):
    flag = rng.choice(["--config", "--workdir", "--num_processes", f"--config.{rng.choice(list(DEFAULTS))}"])
    return rng.choice([[flag], [flag, "--help"], [flag, "--config.seed=1"], ["--config.seed=1", flag]])


def repeated_flag(rng, folder):
    field, value = rng.choice(
        [("config.seed", "1"), ("config.model", "digits_r4_sa"), ("config", "default"), ("workdir", "x")]
    )
    other = rng.choice([value, text(rng, shortest=1)])
    return [f"--{field}={value}", *rng.choice([[], ["--config.batch_size=8"]]), f"--{field}={other}"]


def wrong_type(rng, folder):
    kind = rng.choice([int, float, bool])
    value = unless(
        lambda value: value.lower() in ("true", "false", "0", "1") if kind is bool else reads_as(kind, value),
        lambda: rng.choice(
            [text(rng), "1.5.2", "one", "None", "[]", "1,000", "0x10", "", "--1", "9" * 5000, "1e", "½"]
        ),
    )
    return [f"--config.{rng.choice(FIELDS[kind])}={value}"]


def out_of_range(rng, folder):
    whole = rng.choice([1, 7, 10**6, 10**30])
    kind = rng.randrange(5)
    if kind == 0:
        return [f"--config.{rng.choice(POSITIVE)}={rng.choice([0, -whole])}"]
    if kind == 1:
        return [f"--config.{rng.choice(NUMBERS)}={-whole}"]
    if kind == 2:
        return [f"--config.{rng.choice(BELOW_ONE)}={rng.choice([1, 1.0, 1 + rng.random(), -rng.random() - 1e-9])}"]
    if kind == 3:
        return [
            f"--config.{rng.choice(FIELDS[float])}={rng.choice(['nan', 'inf', '-inf', '1e999', 'NaN', '-Infinity'])}"
        ]
    return [f"--config.{rng.choice(FIELDS[int])}={rng.choice([2**31, 2**63, 10**100]) + rng.randrange(100)}"]


def wrong_name(rng, folder):
    field = rng.choice([*NAMES, "model", "z2_model"])
    if field in NAMES:
        value = unless(
            schema.FIELDS[field].allows,
            lambda: rng.choice([misspelt(rng, rng.choice(NAMES[field])), text(rng, shortest=1)]),
        )
        if field == "augmentation":
            parts = [part.strip(" ()[]'\"") for part in value.split(",")]
            if not any(part and part not in NAMES[field] for part in parts):
                value = "spin"
            value = rng.choice([value, f"random_flip,{value}", f"({value},random_crop)"])
    else:
        names = models.list_models()
        value = unless(
            lambda value: template(value) in TEMPLATES,
            lambda: rng.choice(
                [misspelt(rng, rng.choice(names)), text(rng, shortest=1), "rotmnist_r0_sa", "digits_p04_cnn"]
            ),
        )
    return [f"--config.{field}={value}"]


def wrong_epochs(rng, folder):
    value = rng.choice(
        ["-1", "0", "1e999", "None", "one", "True", "1j", "'5'x", "{1}", "5,-3", "5,x", text(rng, 3) + "x"]
    )
    return [f"--config.decay_epochs={rng.choice([value, f'3,{value}'])}"]


def wrong_file(rng, folder):
    name = unless(
        lambda name: not name or name in os.listdir(folder) or name in CONFIGS,
        lambda: rng.choice(
            [text(rng).replace("/", ""), misspelt(rng, "rotmnist_r4_sa"), "x" * 300, "x" * 5000, "a\0b", "../.."]
        ),
    )
    kind = rng.randrange(4)
    if kind == 0:
        return ["--config", name] if not name.startswith("--") else [f"--config={name}"]
    path = folder / f"{rng.randrange(10**9)}{rng.choice(['', '.txt', '.yaml', '.json', '.pyc', '.PY', '.py'])}"
    if kind == 1:
        path.mkdir()
    elif kind == 2:
        path.write_bytes(rng.randbytes(rng.randrange(1, 40)) + b"(\xff")
    elif path.suffix == ".py":
        path.write_text(OWN_FILE[: rng.randrange(OWN_FILE.rindex("return config"))])
    else:
        path.write_text(OWN_FILE)
        if path.suffix == ".pyc":
            path.write_bytes(b"")
    return ["--config", str(path)]


def wrong_field_in_a_file(rng, folder):
    field = rng.choice([name for name in DEFAULTS if name != "model_overrides"])
    value = rng.choice(
        ["None", "'x'", "1.5", "3", "True", "(1,)", "[1]", "{}", "object()", "b'x'", "1j", "float('nan')"]
    )
    came, expected = type(eval(value)), type(DEFAULTS[field])
    if (came is expected and value != "float('nan')") or (expected is float and came is int):
        value = "{1}"
    body = f"config = default_config().to_dict()\n    config[{field!r}] = {value}\n    return ConfigDict(config)"
    if rng.random() < 0.2:
        body = rng.choice(
            ["raise SystemExit(0)", "return {}", "return 1 / 0", "return default", "import nothing_of_that_name"]
        )
    path = folder / f"{rng.randrange(10**9)}.py"
    path.write_text(
        "from ml_collections import ConfigDict\nfrom experiments.config import default_config\n\n\n"
        f"def get_config():\n    {body}\n"
    )
    return ["--config", str(path)]


def wrong_override(rng, folder):
    kind = rng.randrange(5)
    if kind == 0:
        name = unless(str.isidentifier, lambda: rng.choice([text(rng).replace("=", ""), "a.b", "", "1x", ".", "a-b"]))
        return [f"--config.model_overrides.{name}=1"]
    if kind == 1:
        return [f"--config.model_overrides.x={rng.choice(NO_JSON)}"]
    if kind == 2:
        value = rng.choice(
            ["5", "(8,8)", "(8,8,0)", "(8,8,-1)", "(8,8,1.5)", "8x8x1", "(8,8,1,1)", "None", "{}", "(8,8,'1')"]
        )
        return [f"--config.model_overrides.input_shape={value}"]
    if kind == 3:
        return [
            f"--config.model_overrides.num_classes={rng.choice(['0', '-3', 'ten', '2.5', 'None', '()', 'True', '9', '1'])}"
        ]
    name = "".join(rng.choice(string.ascii_lowercase) for _ in range(8))
    return [
        f"--config.model_overrides.{name}={rng.choice(['1', text(rng), '(' * 500, '-' * 5000 + '1', '{[]: 1}', '1if 1else 2'])}"
    ]


def wrong_data_set(rng, folder):
    """No name behind a prefix, a name that no set has, or a prefix that there is not."""
    prefix, name = rng.choice([("medmnist", rng.choice(list(MEDMNIST))), ("tfds", "mnist")])
    kind = rng.randrange(4)
    if kind == 0:
        name = ""
    elif kind == 1:
        prefix = unless(["medmnist", "tfds"].__contains__, lambda: misspelt(rng, prefix))
    elif kind == 2:
        prefix = "medmnist"
        name = unless(
            MEDMNIST.__contains__, lambda: rng.choice([misspelt(rng, name), text(rng, shortest=1), "x" * 300])
        )
    else:
        prefix, name = "tfds", rng.choice([".", "..", "/", "a/../..", str(folder), "x" * 300, text(rng, shortest=1)])
    return [f"--config.dataset={prefix}:{name}", f"--config.data_dir={rng.choice([folder, 'data'])}"]


def wrong_data(rng, folder):
    published = [
        f"medmnist:{rng.choice(list(MEDMNIST))}",
        f"tfds:{rng.choice(['mnist', 'train', 'imagenet_resized/8x8'])}",
    ]
    dataset = rng.choice(["rotmnist", "cifar10", "pcam", "membranes", "npz", "folder", "table", *published])
    where = folder / f"{rng.randrange(10**9)}"
    kind = rng.randrange(4)
    if kind == 0:
        where = rng.choice([f"nowhere{text(rng)}", "", "x" * 300, "a/b/c", "mnist.npz", "."])
    elif kind == 1:
        where.mkdir()
        for name in ("mnist.npz", "train-images-idx3-ubyte", "cifar10", "patch_camelyon", "train", "test"):
            if rng.random() < 0.5:
                (where / name).write_bytes(rng.randbytes(rng.randrange(60)))
            else:
                (where / name).mkdir()
    else:
        images = rng.choice(
            [np.zeros((20, 8, 8), np.uint8), np.zeros((20, 8), np.uint8), np.zeros(0), np.zeros((20, 8, 8), int)]
        )
        arrays = {
            "train_images": images,
            "train_labels": np.arange(rng.choice([3, 20, 21])) % 20,
            "test_images": images,
        }
        where = where.with_suffix(".npz")
        np.savez(where, **arrays, **({"test_labels": np.arange(20) - 1} if kind == 2 else {}))
        if rng.random() < 0.5:
            where.write_bytes(where.read_bytes()[: rng.randrange(where.stat().st_size)])
    return [f"--config.dataset={dataset}", f"--config.data_dir={where}"]


def wrong_masks(rng, folder):
    """Masks of other sizes, numbers or values, a truncated file, or a field that masks do not go with."""
    where = folder / f"{rng.randrange(10**9)}.npz"
    images = np.zeros((12, 9, 7), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None]
    masks, fields = images % 3, []
    kind = rng.randrange(4)
    if kind == 0:
        wrong = [
            masks[:, 1:],
            masks[1:],
            masks[0],
            masks[..., None],
            masks + np.nan,
            masks - 1.0,
            masks * 200.0,
            masks * 127,
        ]
        masks = rng.choice([*wrong, masks.astype(str), np.zeros((12, 9, 2), np.uint8)])
    elif kind == 1:
        field = [("sampling", "balanced"), ("downscale", 2), ("image_size", "(8,8)"), ("augmentation", "random_crop")]
        field += [("best_metric", "f1"), ("task", "ordinal"), ("model", "digits_r4_sa"), ("tile_size", "(10,7)")]
        fields = ["--config.{}={}".format(*rng.choice([*field, ("tile_size", "(3,3,3)"), ("num_train", 10)]))]
    named = {"images": images, "masks": masks}
    np.savez(where, **({"train_images": images, "masks": masks} if kind == 2 else named))
    if kind == 3:
        where.write_bytes(where.read_bytes()[: rng.randrange(where.stat().st_size - 200)])
    return ["--config.dataset=npz", f"--config.data_dir={where}", *fields, "--config.batch_size=4"]


def too_much(rng, folder):
    field, low, high = rng.choice(
        [
            ("batch_size", 1258, 2**31),
            ("num_validation", 1437, 2**31),
            ("num_train", 1258, 2**31),
            ("num_devices", 2, 2**31),
            ("downscale", 9, 2**31),
            ("num_epochs", 2**31 // 78 + 1, 2**31),
        ]
    )
    return [f"--config.{field}={rng.choice([low, rng.randrange(low, high), rng.randrange(low, low + 20)])}"]


def wrong_address(rng, folder):
    address = {"coordinator_address": "localhost:1234", "num_processes": "2", "process_id": "1"}
    if rng.random() < 0.3:
        del address[rng.choice(list(address))]
    else:
        field, values = rng.choice(
            [
                (
                    "coordinator_address",
                    ["", "localhost", ":1", "localhost:", "localhost:0", "localhost:65536", "a:b", "a:½"],
                ),
                ("num_processes", ["0", "-1", "1", "x", "", "1.5"]),
                ("process_id", ["-1", "2", "99", "x", "", "1e3"]),
            ]
        )
        address[field] = rng.choice(values)
    return [f"--{name}={value}" for name, value in address.items()]


def wrong_workdir(rng, folder):
    (folder / "file").write_text("")
    path = rng.choice(
        ["", "file", f"file/{text(rng).strip('/')}", "x" * 300, "a\0b", "/dev/null/x", "/proc/x", "file/../file"]
    )
    return [f"--workdir={path}"]


MISTAKES = (
    unknown_flag, unknown_field, missing_value, repeated_flag, wrong_type, out_of_range, wrong_name, wrong_epochs,
    wrong_file, wrong_field_in_a_file, wrong_override, wrong_data_set, wrong_data, wrong_masks, too_much, wrong_address,
    wrong_workdir,
)  # fmt: skip
