"""What was published: accuracies on ImageNet, sizes, and where each number stands.

The networks of this package have their sizes counted and their accuracies in
`weights.published.table`; here are the others, and the sources of all.

Tan & Le 2019 is arXiv 1905.11946v5, whose multiply-adds are called FLOPs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.weights.published.table import published_sets, resolve

_PAPER = "arXiv 1905.11946v5"


@dataclass(frozen=True)
class Published:
    """A network with its published accuracy.

    Attributes:
      family: what it is drawn with, `EfficientNet`, `ResNet`.
      name: `efficientnet-b0`, `ResNet-152`.
      weights: the set of weights, empty for networks of others.
      top_1: accuracy on ImageNet in percent, single crop.
      parameters: trainable ones.
      multiply_adds: for one image, None where they were not published.
      sizes: where parameters and multiply-adds come from, `counted` or `published`.
      source: of the accuracy, and of published sizes.
    """

    family: str
    name: str
    weights: str
    top_1: float
    parameters: float
    multiply_adds: float | None
    sizes: str
    source: str


@dataclass(frozen=True)
class ScaledNetwork:
    """A row of the paper's comparisons of ways to scale.

    Attributes:
      network: `EfficientNet-B0`, `MobileNetV2`, ...
      axis: `baseline`, `depth`, `width`, `resolution` or `compound`.
      multiply_adds: in billions, as printed.
      top_1: in percent.
      source: the table.
    """

    network: str
    axis: str
    multiply_adds: float
    top_1: float
    source: str


# (family, network, top-1 %, millions of parameters, billions of multiply-adds): table 2.
_OTHERS = (
    ("ResNet", "ResNet-50", 76.0, 26, 4.1),
    ("ResNet", "ResNet-152", 77.8, 60, 11),
    ("DenseNet", "DenseNet-169", 76.2, 14, 3.5),
    ("DenseNet", "DenseNet-264", 77.9, 34, 6.0),
    ("Inception", "Inception-v3", 78.8, 24, 5.7),
    ("Inception", "Xception", 79.0, 23, 8.4),
    ("Inception", "Inception-v4", 80.0, 48, 13),
    ("Inception", "Inception-ResNet-v2", 80.1, 56, 13),
    ("ResNeXt", "ResNeXt-101", 80.9, 84, 32),
    ("PolyNet", "PolyNet", 81.3, 92, 35),
    ("SENet", "SENet", 82.7, 146, 42),
    ("NASNet", "NASNet-A", 82.7, 89, 24),
    ("NASNet", "PNASNet", 82.9, 86, 23),
    ("AmoebaNet", "AmoebaNet-A", 82.8, 87, 23),
    ("AmoebaNet", "AmoebaNet-C", 83.5, 155, 41),
    ("GPipe", "GPipe", 84.3, 557, None),
)

# Tables 3 and 7: scaling along one axis, and compound scaling.
SCALED_NETWORKS = tuple(
    ScaledNetwork(network, axis, multiply_adds, top_1, f"{_PAPER}, table {table}")
    for table, network, rows in (
        (3, "MobileNetV1", {"baseline": (0.6, 70.6), "width": (2.2, 74.2),
                            "resolution": (2.2, 72.7), "compound": (2.3, 75.6)}),
        (3, "MobileNetV2", {"baseline": (0.3, 72.0), "depth": (1.2, 76.8), "width": (1.1, 76.4),
                            "resolution": (1.2, 74.8), "compound": (1.3, 77.4)}),
        (3, "ResNet-50", {"baseline": (4.1, 76.0), "depth": (16.2, 78.1), "width": (14.7, 77.7),
                          "resolution": (16.4, 77.5), "compound": (16.7, 78.8)}),
        (7, "EfficientNet-B0", {"baseline": (0.4, 77.3), "depth": (1.8, 79.0),
                                "width": (1.8, 78.9), "resolution": (1.9, 79.1),
                                "compound": (1.8, 81.1)}),
    )
    for axis, (multiply_adds, top_1) in rows.items()
)  # fmt: skip

# Where the accuracies of `weights.published.table` stand: by the start of the name, and the set.
_REPOSITORY = "tensorflow/tpu, models/official/efficientnet"
_SOURCES = (
    ("efficientnet-b", "autoaugment", f"{_PAPER}, table 2"),
    ("efficientnet-b", "baseline", f"{_REPOSITORY}/README.md"),
    ("efficientnet-b", "randaugment", "arXiv 1909.13719, table of ImageNet"),
    ("efficientnet-b", "advprop", "arXiv 1911.09665; " + f"{_REPOSITORY}/README.md"),
    ("efficientnet-", "noisy-student", "arXiv 1911.04252; " + f"{_REPOSITORY}/README.md"),
    ("efficientnet-lite", "baseline", f"{_REPOSITORY}/lite/README.md"),
    ("efficientnet-edgetpu", "baseline", f"{_REPOSITORY}/edgetpu/README.md"),
    ("efficientnet-condconv", "baseline", f"{_REPOSITORY}/condconv/README.md"),
    ("efficientnetv2-", "", "arXiv 2104.00298; google/automl, efficientnetv2/README.md"),
)
# The longest start of a name decides what its network is drawn with.
_FAMILIES = {
    "efficientnet-b": "EfficientNet",
    "efficientnet-l2": "EfficientNet",
    "efficientnet-lite": "EfficientNet-Lite",
    "efficientnet-edgetpu-": "EfficientNet-EdgeTPU",
    "efficientnet-condconv-": "CondConv",
    "efficientnetv2-": "EfficientNetV2",
}


def published_networks() -> list[Published]:
    """Every published accuracy: of each set of weights of this package, then of other networks."""
    return [*_ours(), *_others()]


def is_of_paper(row: Published) -> bool:
    """Whether a row is drawn in the paper's figures, or is its counterpart of V2 or Lite.

    ImageNet-1k alone, the paper's own training.
    """
    return row.weights in ("", {"EfficientNet": "autoaugment"}.get(row.family, "baseline"))


def _ours() -> Iterator[Published]:
    for name in VARIANTS:
        for weights in published_sets(name):
            preset = resolve(name, weights)
            if preset.top_1 is None:
                continue
            cost = total(model_config(name, **preset.overrides))
            yield Published(
                _FAMILIES[max(filter(name.startswith, _FAMILIES), key=len)],
                name,
                weights,
                preset.top_1,
                cost.trainable,
                cost.multiply_adds,
                "counted",
                _source(name, weights),
            )


def _source(name: str, weights: str) -> str:
    return next(
        source
        for start, weights_start, source in _SOURCES
        if name.startswith(start) and weights.startswith(weights_start)
    )


def _others() -> Iterator[Published]:
    for family, name, top_1, parameters, multiply_adds in _OTHERS:
        yield Published(
            family,
            name,
            "",
            top_1,
            parameters * 1e6,
            None if multiply_adds is None else multiply_adds * 1e9,
            "published",
            f"{_PAPER}, table 2",
        )
