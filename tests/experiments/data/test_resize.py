import numpy as np
import pytest
from PIL import Image

from experiments.data import RESIZE_MODES, resize
from experiments.errors import UserError

SHAPES = [(50, 37, 3), (64, 64, 1), (31, 90, 2)]


def random_image(shape, dtype=np.uint8):
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [16, 33, 128])
def test_resizing_commutes_with_turns_and_flips(mode, dtype, shape, side):
    image = random_image(shape, dtype)
    result = resize(image, (side, side), mode=mode)
    assert result.shape == (side, side, shape[-1])
    assert result.dtype == dtype
    for turns in range(4):
        for flipped in (False, True):
            moved, expected = (np.rot90(x[:, ::-1] if flipped else x, turns) for x in (image, result))
            # Integers to the last bit, floats to the rounding of float32.
            tolerance = 1e-4 if dtype == np.float32 else 0
            np.testing.assert_allclose(resize(moved, (side, side), mode=mode), expected, rtol=0, atol=tolerance)


def test_a_centred_crop_of_odd_remainder_would_not_commute():
    image = random_image((8, 8, 1))
    assert not np.array_equal(np.rot90(image[:5, :5]), np.rot90(image)[:5, :5])


@pytest.mark.parametrize("sizes", [(8,), (8, 8, 8)])
@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_size_for_each_axis(mode, sizes):
    with pytest.raises(UserError, match="image_size: expected a size for each of the axes"):
        resize(random_image((5, 5, 1)), sizes, mode=mode)


def test_the_filter_is_that_of_pillow():
    image = random_image((120, 90))
    expected = np.asarray(Image.fromarray(image).resize((32, 24), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(resize(image[..., None], (24, 32), mode="resize")[..., 0].astype(int) - expected).max() <= 1


def test_reduction_is_antialiased():
    stripes = np.tile(np.uint8([0, 0, 255, 255]), (64, 16))[..., None]
    small = resize(stripes, (16, 16), mode="resize")[:, 1:-1]
    assert np.abs(small.astype(int) - 127).max() < 20
    assert set(np.unique(stripes[::4, ::4])) != set(np.unique(small))


def test_pad_shows_the_whole_image_and_crop_fills_the_frame():
    image = np.full((40, 20, 1), 100, np.uint8)
    padded, cropped = (resize(image, (20, 20), mode=mode)[..., 0] for mode in ("pad", "crop"))
    assert (padded[:, 5:15] == 100).all()
    assert (padded[:, :5] == 0).all()
    assert (padded[:, 15:] == 0).all()
    assert (cropped == 100).all()
    signed = resize(image.astype(np.int16) - 1000, (20, 20), mode="pad")
    assert (signed == -900).all()


def test_volumes_and_equal_sizes():
    volume = random_image((10, 12, 14, 1), np.int16)
    assert resize(volume, (5, 6, 7), mode="resize").shape == (5, 6, 7, 1)
    assert resize(volume, (10, 12, 14), mode="pad") is volume
