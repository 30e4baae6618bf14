"""500 damaged or odd files: each is read as it was, or refused in one line."""

import pathlib
import random

import numpy as np
import pytest

from experiments.data import formats
from experiments.errors import UserError
from tests.experiments.data.formats.files import CASES

TRIALS = 500
READABLE = [case for case in CASES if not isinstance(case.expected, str) and case.name != "series"]
# A file of these formats has a checksum over its pixels, so that any changed byte shows.
CHECKED = (".png", ".nii.gz")


def truncated(rng, content, name):
    return content[: rng.randrange(len(content))]


def header_overwritten(rng, content, name):
    length = rng.randint(1, 8)
    return rng.randbytes(length) + content[length:]


def emptied(rng, content, name):
    return b""


def noise(rng, content, name):
    return rng.randbytes(rng.randint(1, 400))


def zeros(rng, content, name):
    return bytes(len(content))


def extended(rng, content, name):
    return content + rng.randbytes(rng.randint(1, 100))


def byte_changed(rng, content, name):
    if not name.endswith(CHECKED):
        return truncated(rng, content, name)
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ rng.randint(1, 255)]) + content[place + 1 :]


def another_format(rng, content, name):
    return None


DAMAGES = [truncated, header_overwritten, emptied, noise, zeros, extended, byte_changed, another_format]


def damaged(rng, folder: pathlib.Path) -> tuple[pathlib.Path, np.ndarray, str]:
    case = rng.choice(READABLE)
    path = folder / case.name
    case.write(path)
    content, damage = path.read_bytes(), rng.choice(DAMAGES)
    changed = damage(rng, content, case.name)
    if changed is None:
        suffix = rng.choice([suffix for suffix in formats.SUFFIXES if not case.name.endswith(suffix)])
        path = path.rename(path.with_name(f"renamed{suffix}"))
    else:
        path.write_bytes(changed)
    return path, case.expected, f"{damage.__name__} {case.name} as {path.name}"


@pytest.mark.parametrize("block", range(5))
def test_damaged_files_are_read_as_they_were_or_refused(tmp_path, block):
    rng, refused, failures = random.Random(block), 0, []
    for trial in range(TRIALS // 5):
        folder = tmp_path / str(trial)
        folder.mkdir()
        path, expected, what = damaged(rng, folder)
        try:
            pixels = formats.read_image(path)
        except UserError as error:
            refused += 1
            if "\n" in str(error) or str(path) not in str(error):
                failures.append((what, str(error)))
        except Exception as error:
            failures.append((what, repr(error)))
        else:
            if pixels.shape != expected.shape or not np.array_equal(pixels, expected):
                failures.append((what, "changed in silence"))
    assert not failures, failures
    assert refused > TRIALS // 20
