"""The handwritten digits that come with scikit-learn: no download, 1,797 images."""

import numpy as np
from sklearn.datasets import load_digits

from jaxcompress.data.dataset import Dataset, Split, channel_statistics
from jaxcompress.data.split import stratified_split

TEST_FRACTION = 0.2


def digits(seed: int = 0, validation_fraction: float = 0.25) -> Dataset:
    """Loads scikit-learn's digits: 8x8 images, 10 classes, pixel values 0..16.

    Inputs are uint8 [N, 8, 8, 1]. A fifth of the images is the test split; of the
    rest, `validation_fraction` is the validation split: 60/20/20 as it stands.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits",
    UCI Machine Learning Repository, 1998 (its test set).

    Args:
        seed: chooses the splits; the test split depends on nothing else.
        validation_fraction: in (0, 1), of the images outside the test split.

    Returns:
        The data set.

    Raises:
        ValueError: if `validation_fraction` is outside (0, 1), or leaves a class
            without images.

    Example:
        >>> digits().train.inputs.shape
        (1081, 8, 8, 1)
    """
    images, labels = load_digits(return_X_y=True)
    inputs = images.reshape(-1, 8, 8, 1).astype(np.uint8)
    targets = labels.astype(np.int32)
    develop, test = stratified_split(targets, (1 - TEST_FRACTION, TEST_FRACTION), seed)
    fractions = (1 - validation_fraction, validation_fraction)
    train, validation = (
        develop[part] for part in stratified_split(targets[develop], fractions, seed)
    )
    mean, std = channel_statistics(inputs[train])
    return Dataset(
        name="digits",
        train=Split(inputs[train], targets[train]),
        validation=Split(inputs[validation], targets[validation]),
        test=Split(inputs[test], targets[test]),
        num_classes=10,
        mean=mean,
        std=std,
    )
