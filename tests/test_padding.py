import numpy as np
import pytest

from gequi_jax._padding import pad_with_edges


@pytest.mark.parametrize("pads", [((0, 0), (1, 1), (0, 0)), ((2, 0), (0, 3), (1, 1)), ((0, 0),) * 3])
def test_it_is_numpys(pads):
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(pad_with_edges(x, pads), np.pad(x, pads, mode="edge"))
