import numpy as np
import pytest

from experiments.errors import UserError
from experiments.visualize.attention.draw.volumes import planar
from experiments.visualize.attention.measure import LayerMaps, Transforms
from experiments.visualize.attention.measure.queries import choose_position, transformed_query
from experiments.visualize.text import element_name
from gequi_jax import groups

CUBE = groups.octahedral_group()


def test_elements_are_named_by_the_axes_that_they_read():
    assert element_name(CUBE, CUBE.identity) == "(d, r, c)"
    assert len({element_name(CUBE, element) for element in range(24)}) == 24
    fifth = next(
        e for e, m in enumerate(groups.icosahedral_group().matrices) if np.isclose(np.trace(m), 1.618, atol=1e-3)
    )
    assert element_name(groups.icosahedral_group(), fifth) == "72°"


def test_the_query_of_a_volume_is_the_brightest_position_or_the_given_one():
    volume = np.zeros((4, 4, 4, 1))
    volume[1, 2, 3] = 1
    assert choose_position(None, volume) == (1, 2, 3)
    assert choose_position("3,0,1", volume) == (3, 0, 1)
    for text, message in (("1,2", "three integers DEPTH,ROW,COLUMN"), ("0,0,4", "0,0,0 to 3,3,3")):
        with pytest.raises(UserError, match=message):
            choose_position(text, volume)


def test_a_query_moves_as_the_volume_does():
    query = transformed_query((0, 1, 3), 4, CUBE.matrices)
    offsets = np.array([0, 1, 3]) - 1.5
    np.testing.assert_array_equal(query.on(4), np.rint(CUBE.matrices @ offsets + 1.5))


def test_maps_are_sliced_through_the_query():
    random = np.random.default_rng(0)
    transforms = Transforms(CUBE, (0,), random.uniform(size=(1, 4, 4, 4, 1)))
    layer = LayerMaps("layer", random.uniform(size=(1, 4, 4, 4, 24)), "probability", np.array([[3, 0, 1]]))
    pictures, (flat,), queries = planar(transforms, [layer], np.array([[1, 1, 1]]))
    assert queries is None
    assert flat.queries is None
    np.testing.assert_array_equal(pictures.images[0, :4, :4], transforms.images[0, 1])
    np.testing.assert_allclose(flat.maps[0, :4, :4, 0], layer.maps[0, 3].mean(axis=-1))
