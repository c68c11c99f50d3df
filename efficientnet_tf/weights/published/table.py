"""The weights published with the papers: their archives, accuracies and inputs.

Sources: Tan & Le 2019 (baseline, and AutoAugment as the original repository retrained them),
Cubuk et al. 2019 (arXiv 1909.13719, RandAugment), Xie et al. 2019 (1911.09665, AdvProp), Xie et
al. 2019 (1911.04252, Noisy Student), and the original's pages of Lite, EdgeTPU and CondConv. V2:
Tan & Le 2021 (2104.00298) and the README, `preprocessing.py` and `datasets.py` of google/automl's
`efficientnetv2`.
"""

from dataclasses import dataclass

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import IMAGENET_CLASSES

BASE_URL = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet"


@dataclass(frozen=True)
class Preset:
    """One published set of weights and the input it was trained with.

    Attributes:
      model_name, weights: the variant and the name of the set.
      archive: path below `BASE_URL`, without the suffix.
      top_1: published ImageNet top-1 accuracy in percent, single crop at `input_size`; None where
        none was published.
      input_size: side in pixels of the square image.
      mean_rgb, stddev_rgb: normalisation, on the scale 0..255.
      resize_method: `bicubic` or `bilinear`, in TF1's legacy sense.
      num_classes: width of the classifier: 1000, 1001 or, for ImageNet-21k, 21843.
      sha256: of the archive, None where nobody published it; see `download`.
    """

    model_name: str
    weights: str
    archive: str
    top_1: float | None
    input_size: int
    mean_rgb: tuple[float, float, float]
    stddev_rgb: tuple[float, float, float]
    resize_method: str
    num_classes: int = IMAGENET_CLASSES
    sha256: str | None = None

    @property
    def file(self) -> str:
        """Path of the archive below `BASE_URL`."""
        return f"{self.archive}{'.tgz' if self.archive.startswith('v2/') else '.tar.gz'}"

    @property
    def label_offset(self) -> int | None:
        """What is added to an ImageNet class index, 0..999, to find it in the output.

        None for ImageNet-21k, whose classes are others.
        """
        offset = self.num_classes - IMAGENET_CLASSES
        return offset if offset in (0, 1) else None

    @property
    def overrides(self) -> dict[str, object]:
        """The fields of `ModelConfig` that these weights need; for `build_model`."""
        names = ("input_size", "mean_rgb", "stddev_rgb", "resize_method", "num_classes")
        return {name: getattr(self, name) for name in names}


# (set, model, archive, changes to the variant's own input, {size: top-1}); `{}` is the size.
_ADVPROP = {"mean_rgb": (127.5,) * 3, "stddev_rgb": (127.5,) * 3}
_BACKGROUND = {"num_classes": IMAGENET_CLASSES + 1}
# V2 beside B0-B3 on ImageNet-1k resizes bilinearly and scales to -1..1, by 128 in training and by
# 127.5 in fine-tuning. The networks of ImageNet-21k were trained and evaluated at 224 pixels.
_V2_BILINEAR = {"resize_method": "bilinear"}
_V2_21K = {
    **_V2_BILINEAR,
    "mean_rgb": (128.0,) * 3,
    "stddev_rgb": (128.0,) * 3,
    "input_size": 224,
    "num_classes": 21843,
}
_V2_SIZES = ("s", "m", "l", "xl", "b0", "b1", "b2", "b3")
_B, _LITE = "efficientnet-b{}", "efficientnet-lite{}"
_L2, _EDGE, _COND = "efficientnet-l2", "efficientnet-edgetpu-{}", "efficientnet-condconv-b0-{}"
_V2 = "efficientnetv2-{}"
_SERIES = (
    ("autoaugment", _B, "ckptsaug/efficientnet-b{}", {}, dict(enumerate(
        (77.1, 79.1, 80.1, 81.6, 82.9, 83.6, 84.0, 84.3)))),
    ("baseline", _B, "ckpts/efficientnet-b{}", {}, dict(enumerate(
        (76.7, 78.7, 79.8, 81.1, 82.5, 83.1)))),
    ("randaugment", _B, "randaug/efficientnet-b{}-randaug", {}, {5: 83.7, 7: 84.7}),
    ("advprop", _B, "advprop/efficientnet-b{}", _ADVPROP, dict(enumerate(
        (77.6, 79.6, 80.5, 81.9, 83.3, 84.3, 84.8, 85.2, 85.5)))),
    ("noisy-student", _B, "noisystudent/noisy_student_efficientnet-b{}", {}, dict(enumerate(
        (78.8, 81.5, 82.4, 84.1, 85.3, 86.1, 86.4, 86.9)))),
    ("noisy-student", _L2, "noisystudent/noisy_student_efficientnet-l2", {}, {"": 88.4}),
    ("noisy-student-475", _L2, "noisystudent/noisy_student_efficientnet-l2_475",
     {"input_size": 475}, {"": 88.2}),
    ("baseline", _LITE, "lite/efficientnet-lite{}", {}, {0: 75.1, 1: 76.7, 2: 77.6}),
    # Sizes at which the published accuracies are reached; the variants were designed for 280, 300.
    ("baseline", _LITE, "lite/efficientnet-lite{}", {"input_size": 300}, {3: 79.8}),
    ("baseline", _LITE, "lite/efficientnet-lite{}", {"input_size": 380}, {4: 81.5}),
    ("baseline", _EDGE, "efficientnet-edgetpu-{}", _BACKGROUND,
     {"S": 77.23, "M": 78.69, "L": 80.62}),
    ("baseline", _COND, "condconv/efficientnet-condconv-b0-{}", {},
     {"4e": 77.8, "8e": 78.3, "8e-depth": 79.5}),
    ("baseline", _V2, "v2/efficientnetv2-{}", _V2_BILINEAR, {"s": 83.9, "m": 85.2, "l": 85.7}),
    ("baseline", _V2, "v2/efficientnetv2-{}", {},
     {"b0": 78.7, "b1": 79.8, "b2": 80.5, "b3": 82.1}),
    ("imagenet21k-ft1k", _V2, "v2/efficientnetv2-{}-21k-ft1k", {**_V2_BILINEAR, **_ADVPROP},
     {**dict.fromkeys(_V2_SIZES), "s": 84.9, "m": 86.2, "l": 86.9, "xl": 87.2}),
    ("imagenet21k", _V2, "v2/efficientnetv2-{}-21k", _V2_21K, dict.fromkeys(_V2_SIZES)),
)  # fmt: skip


def _by_model() -> dict[str, dict[str, tuple[str, dict, float | None]]]:
    """`{model: {set: (archive, changes, top-1)}}`, each model's preferred set first."""
    table = {}
    for name, model, archive, changes, accuracies in _SERIES:
        for size, top_1 in accuracies.items():
            sets = table.setdefault(model.format(size), {})
            sets[name] = (archive.format(size), changes, top_1)
    return table


_TABLE = _by_model()


def published_models() -> list[str]:
    """The variants that have published weights."""
    return list(_TABLE)


def published_sets(model_name: str) -> list[str]:
    """The names of the sets published for a variant, the preferred one first."""
    return list(_TABLE.get(model_name, {}))


def resolve(model_name: str, weights: str) -> Preset:
    """The published weights called `weights` for a variant.

    Args:
      model_name: as in `available_models()`.
      weights: one of `published_sets(model_name)`, or `imagenet` for the first of them: AutoAugment
        for B0-B7, ImageNet-1k for V2 but XL, which has ImageNet-21k fine-tuned on 1k.

    Raises:
      UserError: no such set for this variant; those that exist are listed.
    """
    sets = _TABLE.get(model_name, {})
    config = model_config(model_name)
    if not sets:
        raise UserError(f"no weights were ever published for {model_name}; use weights=None")
    name = next(iter(sets)) if weights == "imagenet" else weights
    if name not in sets:
        raise UserError(
            f"weights {weights!r} are neither a file nor published for {model_name}; "
            f"there are: {', '.join(['imagenet', *sets])}"
        )
    archive, changes, top_1 = sets[name]
    fields = ("input_size", "mean_rgb", "stddev_rgb", "resize_method")
    variant = {field: getattr(config, field) for field in fields}
    return Preset(model_name, name, archive, top_1, **{**variant, **changes})
