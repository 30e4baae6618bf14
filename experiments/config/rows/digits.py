"""scikit-learn's digits: 1,797 images of 8x8 pixels, which are part of the package. The first row is the default.

The digits are split into train, validation and test before any rotation. A training image is rotated by a new random
angle each time it is drawn, a validation or test image once, by a fixed random angle.

    python -m experiments.main
"""

from collections.abc import Mapping

from experiments.config.rows._row import Row

ROWS: Mapping[str, Row] = {
    "alpha_f_p4_cnn": Row(
        "Attentive p4 group convolutions on scikit-learn's digits, of no paper",
        "no number",
        {},
        "Measured here: 96.9 % of 360 test digits at random angles (seed 0), in under a minute on two CPU cores.",
    )
}
