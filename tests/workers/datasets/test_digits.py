"""The embedded digits: which rows are which split, and how they are scaled."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from workers.contract.errors import UserError
from workers.datasets.digits import DigitsSpec, load


def test_every_fifth_row_from_the_first_is_test():
    """1,797 rows: 0, 5, 10 … are the 360 test examples, the others the 1,437 training examples."""
    bunch = load_digits()
    dataset = load(DigitsSpec(), None)
    assert (len(dataset.train), len(dataset.test)) == (1437, 360)
    np.testing.assert_array_equal(dataset.test.inputs[..., 0], bunch.images[::5])
    np.testing.assert_array_equal(dataset.test.targets.argmax(axis=1), bunch.target[::5])
    np.testing.assert_array_equal(dataset.train.inputs[3, ..., 0], bunch.images[4])
    np.testing.assert_array_equal(dataset.train.inputs[4, ..., 0], bunch.images[6])
    assert (dataset.input_shape, dataset.num_outputs) == ((8, 8, 1), 10)


def test_inputs_have_about_zero_mean_and_unit_variance():
    """The scale is fixed, so it does not depend on num_train."""
    dataset = load(DigitsSpec(num_train=100), None)
    whole = load(DigitsSpec(), None)
    values = (whole.train.inputs - whole.offset) * whole.scale
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05
    assert (dataset.offset, dataset.scale) == (whole.offset, whole.scale)
    assert dataset.digest == whole.digest


def test_too_large_a_num_train_is_a_fault():
    """The message gives both numbers."""
    with pytest.raises(UserError, match="num_train is 1,438, but the data set has 1,437"):
        load(DigitsSpec(num_train=1438), None)
