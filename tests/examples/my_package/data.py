"""A data set of one's own: some classes of scikit-learn's digits."""

import numpy as np
from sklearn.datasets import load_digits

from workers.datasets.dataset import Dataset, Split, digest_of, one_hot


def load(settings, data_dir):
    """Load the digits 0 … C-1; every fourth example is for testing.

    Inputs are stored as uint8 [N, 8, 8, 1] and normalised to (pixel - 5) / 6 when used.

    Args:
        settings: `num_classes`, C.
        data_dir: What `--data-dir` says; not needed here.
    """
    bunch = load_digits(n_class=settings["num_classes"])
    inputs = bunch.images.astype(np.uint8)[..., np.newaxis]
    targets = one_hot(bunch.target.astype(np.int64), settings["num_classes"])
    is_test = np.arange(len(inputs)) % 4 == 3
    train = Split(inputs[~is_test], targets[~is_test])
    test = Split(inputs[is_test], targets[is_test])
    return Dataset(
        train,
        test,
        offset=np.array(5, np.float32),
        scale=np.array(1 / 6, np.float32),
        is_classification=True,
        digest=digest_of(train, test),
    )
