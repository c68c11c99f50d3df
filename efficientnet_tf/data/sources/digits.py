"""scikit-learn's 1,797 handwritten digits: real data that needs neither disk nor network.

Pictures are 8 x 8 with 17 grey levels and touch their edges. Each gets a black border of one pixel
and grows four-fold to 40 x 40, so that the evaluation crop for a 32 x 32 network cuts no digit.

The split is fixed: a permutation by NumPy's frozen `RandomState(0)`, sorted by class; every fifth
image is evaluated. 1,437 train, 360 evaluate, class shares equal within one image.
"""

import numpy as np

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.arrays import ArraySource

_BORDER = 1
_SCALE = 4
_HOLD_OUT_EVERY = 5


class DigitsSource(ArraySource):
    """Ten classes, "0" to "9"; uint8 images `[40, 40, 3]`, white on black."""

    name = "digits"
    num_classes = 10
    label_names = [str(digit) for digit in range(10)]

    def __init__(self, config: DataConfig):
        images, labels = _load()
        order = np.random.RandomState(0).permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
        held_out = np.arange(len(order)) % _HOLD_OUT_EVERY == 0
        super().__init__(
            config,
            train=(images[order[~held_out]], labels[order[~held_out]]),
            evaluation=(images[order[held_out]], labels[order[held_out]]),
        )


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Grey images uint8 `[1797, 40, 40, 1]` in 0..255 and their classes, int32 `[1797]`."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError(
            "--dataset=digits needs scikit-learn: pip install 'efficientnet-tf[quickstart]'"
        ) from None
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images = np.pad(images, ((0, 0), (_BORDER, _BORDER), (_BORDER, _BORDER)))
    images = images.repeat(_SCALE, axis=1).repeat(_SCALE, axis=2)
    return images[..., None], digits.target.astype(np.int32)
