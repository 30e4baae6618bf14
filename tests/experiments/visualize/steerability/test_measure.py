"""Rotations by 45 degrees, which no window of pixels has: the equivariance error of each layer.

Reference: Romero & Cordonnier (2021), Sec. 5.1 and Fig. 2.
"""

import pathlib

import numpy as np
import pytest

from experiments.visualize.seeding import random_streams
from experiments.visualize.steerability import measure as steerability

PAGE = pathlib.Path(__file__).parents[4] / "docs" / "differences_gsa.md"


@pytest.fixture(scope="module")
def errors():
    measured = {(error.layer, error.window, error.window_size): error.mean for error in steerability.layer_errors()}
    for (layer, window, size), error in measured.items():
        print(f"{layer}, {window} window, {size}x{size}: {error:.3f} under 45 degrees")
    return measured


@pytest.mark.parametrize("name", steerability.LAYERS)
def test_right_angles_are_exact(name):
    layer = steerability.LAYERS[name](5, rngs=random_streams(0))
    assert steerability.centre_error(layer, 5, element=2) < 1e-5
    assert steerability.centre_error(layer, 5, element=1) > 1e-2


def test_pixels_beyond_the_window_do_not_matter():
    layer = steerability.convolution(5, rngs=random_streams(0))
    images = [steerability.smooth_images(1, side) for side in (5, 15)]
    np.testing.assert_allclose(images[0], images[1][:, 5:10, 5:10], atol=1e-6)
    outputs = [steerability.centre_of_output(layer, image) for image in images]
    np.testing.assert_allclose(*outputs, atol=1e-5)


@pytest.mark.slow
def test_the_page_shows_the_table_that_is_measured(errors):
    """To one in the last place, which another processor may round differently."""
    rows = dict(line.strip("| ").split(" | ", 1) for line in PAGE.read_text().splitlines() if " window | " in line)
    assert list(rows) == [f"{layer}, {window} window" for layer, window in steerability.LAYERS]
    for (layer, window), row in zip(steerability.LAYERS, rows.values(), strict=True):
        measured = [error for (*name, _), error in errors.items() if name == [layer, window]]
        np.testing.assert_allclose([float(cell) for cell in row.split(" | ")], measured, atol=0.0101)


@pytest.mark.slow
def test_a_round_window_is_nearer_to_equivariance_than_a_square_one(errors):
    for layer, window, size in errors:
        if window == "round":
            assert errors[layer, "round", size] < 0.75 * errors[layer, "square", size]


@pytest.mark.slow
def test_a_larger_round_window_helps_attention_and_not_the_interpolation_of_independent_entries(errors):
    assert errors["attention", "round", 9] < 0.75 * errors["attention", "round", 5]
    assert errors["convolution", "round", 9] > errors["convolution", "round", 5]
    assert errors["convolution", "square", 9] > 0.9 * errors["convolution", "square", 5]


@pytest.mark.slow
def test_attention_against_an_interpolated_kernel_in_a_round_window(errors):
    # In a small window its edge costs more than interpolation does, and attention feels the edge most.
    assert errors["attention", "round", 5] > 1.2 * errors["convolution", "round", 5]
    assert errors["attention", "round", 9] < 0.8 * errors["convolution", "round", 9]
    # A smooth kernel survives interpolation: what is left is not the cost of interpolating.
    for size in (5, 9):
        assert errors["convolution, smooth kernel", "round", size] < 0.8 * errors["attention", "round", size]


def test_an_encoding_returns_from_any_angle_and_a_kernel_does_not():
    rotations = {rotation.angle: rotation for rotation in steerability.rotations(angles=range(0, 360, 15))}
    assert len(rotations) == 24
    for angle, rotation in rotations.items():
        assert rotation.encoding_return_error < 1e-6
        if angle % 90 == 0:
            assert max(rotation.kernel_error, rotation.kernel_return_error) < 1e-6
        else:
            assert min(rotation.kernel_error, rotation.kernel_error_in_disc, rotation.kernel_return_error) > 0.1
    np.testing.assert_allclose(rotations[90].kernel, np.rot90(rotations[0].kernel), atol=1e-5)
    np.testing.assert_allclose(rotations[90].function, np.rot90(rotations[0].function), atol=1e-4)
