"""Every kind of file is read exactly, or refused in one line; none changes a value in silence."""

import sys

import numpy as np
import pytest
from PIL import Image

from experiments.data import formats
from experiments.errors import UserError
from tests.experiments.data.formats.files import BYTES, CASES, COLOURS, Case, grey, pillow, tiff


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_file_is_read_exactly_or_refused(tmp_path, case: Case):
    path = tmp_path / case.name
    case.write(path)
    if isinstance(case.expected, str):
        with pytest.raises(UserError, match=case.expected) as caught:
            formats.read_image(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    pixels = formats.read_image(path)
    assert pixels.dtype == case.expected.dtype
    assert pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, case.expected)
    header = formats.read_header(path)
    assert (header.shape, header.dtype) == (pixels.shape, pixels.dtype)


def test_the_matrix_is_large():
    assert len(CASES) >= 30


def test_a_comparison_of_values_notices_the_loss_of_eight_bits(tmp_path):
    deep = next(case for case in CASES if case.name == "little.tif")
    deep.write(tmp_path / "deep.tif")
    shallow = (formats.read_image(tmp_path / "deep.tif") >> 8 << 8).astype(np.uint16)
    assert not np.array_equal(shallow, deep.expected)


@pytest.mark.parametrize(("module", "name"), [("tifffile", "a.tif"), ("nibabel", "a.nii"), ("pydicom", "a.dcm")])
def test_a_missing_reader_is_one_line_with_the_command(tmp_path, monkeypatch, module, name):
    (tmp_path / name).write_bytes(b"whatever")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"needs {module}; pip install 'gequi_jax\[images\]'"):
        formats.read_image(tmp_path / name)


def test_other_formats_need_no_extra(tmp_path, monkeypatch):
    for module in ("tifffile", "nibabel", "pydicom", "imagecodecs"):
        monkeypatch.setitem(sys.modules, module, None)
    pillow(COLOURS)(tmp_path / "a.png")
    np.testing.assert_array_equal(formats.read_image(tmp_path / "a.png"), COLOURS)


def test_a_page_lost_from_a_tiff_file_is_noticed(tmp_path):
    path = tmp_path / "pages.tif"
    tiff(np.stack([BYTES, 255 - BYTES]), photometric="minisblack", metadata=None)(path)
    content = bytearray(path.read_bytes())
    np.testing.assert_array_equal(formats.read_image(path), grey(np.stack([BYTES, 255 - BYTES])))
    import tifffile

    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    place = content.find(second.to_bytes(4, "little"), 8)
    content[place : place + 4] = (len(content) + 100).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        formats.read_image(path)


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize(
    ("length", "message"), [(60, None), (12, "EXIF block is damaged"), (5, "EXIF block is damaged")]
)
def test_a_damaged_exif_block_leaves_the_orientation_unknown(tmp_path, order, length, message):
    exif = Image.Exif()
    exif.endian = "<" if order == "II" else ">"
    exif[0x0112] = 6
    block = exif.tobytes()
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=block[: length + 6])
    if message is None:
        np.testing.assert_array_equal(formats.read_image(tmp_path / "a.png"), np.rot90(COLOURS, -1))
        return
    with pytest.raises(UserError, match=message):
        formats.read_image(tmp_path / "a.png")
