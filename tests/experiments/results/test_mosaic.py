import numpy as np

from experiments.results.mosaic import mosaic


def test_three_slices_and_the_maximum_of_a_volume():
    volume = np.random.default_rng(0).uniform(size=(4, 6, 5, 2))
    (page,) = mosaic(volume[None])
    assert page.shape == (13, 13, 2)
    np.testing.assert_array_equal(page[:6, :5], volume[2])
    np.testing.assert_array_equal(page[:6, 8:12], volume[:, :, 2].swapaxes(0, 1))
    np.testing.assert_array_equal(page[8:12, :5], volume[:, 3])
    np.testing.assert_array_equal(page[7:13, 7:12], volume.max(axis=0))
    assert page[6].max() == page[:, 6].max() == volume.min()


def test_slices_go_through_a_position():
    volumes = np.random.default_rng(0).uniform(size=(2, 4, 4, 4, 1))
    pages = mosaic(volumes, np.array([[0, 1, 2], [3, 2, 1]]))
    np.testing.assert_array_equal(pages[0][:4, :4], volumes[0][0])
    np.testing.assert_array_equal(pages[1][5:, :4], volumes[1][:, 2])


def test_images_stay_as_they_are():
    images = np.zeros((3, 8, 9, 1))
    assert mosaic(images) is images
