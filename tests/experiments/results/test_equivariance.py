import numpy as np
import pytest

from experiments.results.equivariance import logit_map_changes
from gequi_jax import groups

P4M = groups.dihedral_group(4)
IMAGES = [
    np.random.default_rng(index).normal(size=(5, size, 2)).astype(np.float32) for index, size in enumerate((5, 4))
]


def by_pixel(images):
    return images * 2 + images**2


def shifted(images):
    return np.roll(images, 1, axis=1)


@pytest.mark.parametrize("seeds", [False, True])
def test_a_map_that_moves_with_the_image_and_one_that_does_not(seeds):
    def measured(function):
        return logit_map_changes(lambda x: np.stack([function(x)] * 2) if seeds else function(x), IMAGES, group=P4M)

    exact, wrong = measured(by_pixel), measured(shifted)
    assert exact["elements"] == list(range(8))
    assert exact["relative"] == exact["changed_pixels"] == [0.0] * 8
    assert exact["absolute"] == 0
    # The identity, and the element that flips the columns: rows are shifted.
    kept = [index for index, error in enumerate(wrong["relative"]) if error == 0]
    assert kept == [0, 4]
    assert min(error for index, error in enumerate(wrong["relative"]) if index not in kept) > 0.5
    assert max(wrong["changed_pixels"]) > 0.1
    assert wrong["absolute"] > 0.5
