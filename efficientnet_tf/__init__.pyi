"""The public names of the package and their types, for editors and type checkers.

`__init__.py` loads the same names when they are first used. `tests/test_public_face.py` holds the
two together: every name, and of every function the names, kinds, defaults and types of its
parameters.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import keras
from typing_extensions import Unpack

from efficientnet_tf import data as data
from efficientnet_tf import train as train
from efficientnet_tf.arch.variants import available_models as available_models
from efficientnet_tf.arch.variants import input_size as input_size
from efficientnet_tf.config import BlockSpec
from efficientnet_tf.config import DataConfig as DataConfig
from efficientnet_tf.config import DistributionConfig as DistributionConfig
from efficientnet_tf.config import ModelConfig as ModelConfig
from efficientnet_tf.config import OptimizerConfig as OptimizerConfig
from efficientnet_tf.config import RunConfig as RunConfig
from efficientnet_tf.config import TrainConfig as TrainConfig
from efficientnet_tf.config import UserError as UserError
from efficientnet_tf.exports.exporting import export as export
from efficientnet_tf.exports.frozen import inference_function as inference_function
from efficientnet_tf.imagenet import decode_predictions as decode_predictions
from efficientnet_tf.imagenet import preprocess_input as preprocess_input
from efficientnet_tf.nn.folding import fold_batch_norm as fold_batch_norm
from efficientnet_tf.nn.freezing import freeze as freeze
from efficientnet_tf.nn.grad_cam import grad_cam as grad_cam
from efficientnet_tf.nn.quantization import quantize_aware as quantize_aware
from efficientnet_tf.run.fit import fit as fit
from efficientnet_tf.run.flags import recipe as recipe
from efficientnet_tf.weights.formats.tf1_checkpoint import (
    load_tf1_checkpoint as load_tf1_checkpoint,
)
from efficientnet_tf.weights.formats.tf1_export import save_tf1_checkpoint as save_tf1_checkpoint
from efficientnet_tf.weights.keras2.loading import load_keras2_model as load_keras2_model
from efficientnet_tf.weights.loading import load_weights as load_weights
from efficientnet_tf.weights.loading import open_weights as open_weights
from efficientnet_tf.weights.warm_start import warm_start as warm_start

__version__: str

class _Scaling(TypedDict, total=False):
    """Fields of `ModelConfig` that describe a network, but for its number of classes."""

    blocks: tuple[BlockSpec, ...]
    width_coefficient: float
    depth_coefficient: float
    input_size: int
    dropout_rate: float
    survival_prob: float | None
    batch_norm_momentum: float
    batch_norm_epsilon: float
    activation: str
    depth_divisor: int
    min_depth: int
    min_rounding: float
    stem_filters: int
    head_filters: int
    fix_head_stem: bool
    se_coefficient: float
    num_experts: int
    padding: str
    mean_rgb: tuple[float, float, float]
    stddev_rgb: tuple[float, float, float]
    resize_method: str
    quantize_aware: bool

class _ConfigOverrides(_Scaling, total=False):
    """What `model_config`, `summary` and `convert` can replace."""

    num_classes: int

class _BuildOverrides(_Scaling, total=False):
    """What `build_model` takes besides its own parameters."""

    include_top: bool
    input_tensor: Any
    input_shape: tuple[int | None, int | None, int] | None
    pooling: str | None
    classifier_activation: str | None
    include_preprocessing: bool
    name: str | None

class _BuildArguments(_BuildOverrides, total=False):
    """What `feature_extractor` passes on to `build_model`."""

    num_classes: int | None
    weights: str | None
    freeze: str | None
    freeze_bn: bool

def model_config(name: str, **overrides: Unpack[_ConfigOverrides]) -> ModelConfig: ...
def summary(
    model: keras.Model | ModelConfig | str,
    csv: str | Path | None = None,
    **overrides: Unpack[_ConfigOverrides],
) -> str: ...
def build_model(
    model_name: str,
    num_classes: int | None = None,
    weights: str | None = None,
    *,
    freeze: str | None = None,
    freeze_bn: bool = False,
    **overrides: Unpack[_BuildOverrides],
) -> keras.Model: ...
def feature_extractor(
    model: keras.Model | str, names: Sequence[str], **options: Unpack[_BuildArguments]
) -> keras.Model: ...
def convert(
    model_name: str | None,
    source: str | Path,
    target: str | Path,
    *,
    ema: bool = True,
    safe_mode: bool = True,
    layers: Mapping[str, keras.Layer] | None = None,
    **overrides: Unpack[_ConfigOverrides],
) -> ModelConfig | None: ...

class _Constructor(Protocol):
    """The parameters of every constructor; the default of `weights` is the variant's own."""

    def __call__(
        self,
        include_top: bool = True,
        weights: str | None = ...,
        input_tensor: Any = None,
        input_shape: tuple[int | None, int | None, int] | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | None = "softmax",
        name: str | None = None,
    ) -> keras.Model: ...

class _ConstructorV2(Protocol):
    """The parameters of the constructors of EfficientNetV2."""

    def __call__(
        self,
        include_top: bool = True,
        weights: str | None = ...,
        input_tensor: Any = None,
        input_shape: tuple[int | None, int | None, int] | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | None = "softmax",
        include_preprocessing: bool = True,
        name: str | None = None,
    ) -> keras.Model: ...

EfficientNetB0: _Constructor
EfficientNetB1: _Constructor
EfficientNetB2: _Constructor
EfficientNetB3: _Constructor
EfficientNetB4: _Constructor
EfficientNetB5: _Constructor
EfficientNetB6: _Constructor
EfficientNetB7: _Constructor
EfficientNetB8: _Constructor
EfficientNetL2: _Constructor
EfficientNetLite0: _Constructor
EfficientNetLite1: _Constructor
EfficientNetLite2: _Constructor
EfficientNetLite3: _Constructor
EfficientNetLite4: _Constructor
EfficientNetEdgeTPUS: _Constructor
EfficientNetEdgeTPUM: _Constructor
EfficientNetEdgeTPUL: _Constructor
EfficientNetCondConvB04E: _Constructor
EfficientNetCondConvB08E: _Constructor
EfficientNetCondConvB08EDepth: _Constructor
EfficientNetXB0: _Constructor
EfficientNetXB1: _Constructor
EfficientNetXB2: _Constructor
EfficientNetXB3: _Constructor
EfficientNetXB4: _Constructor
EfficientNetXB5: _Constructor
EfficientNetXB6: _Constructor
EfficientNetXB7: _Constructor
EfficientNetXTPUB0: _Constructor
EfficientNetXTPUB1: _Constructor
EfficientNetXTPUB2: _Constructor
EfficientNetXTPUB3: _Constructor
EfficientNetXTPUB4: _Constructor
EfficientNetXTPUB5: _Constructor
EfficientNetXTPUB6: _Constructor
EfficientNetXTPUB7: _Constructor
EfficientNetXGPUB0: _Constructor
EfficientNetXGPUB1: _Constructor
EfficientNetXGPUB2: _Constructor
EfficientNetXGPUB3: _Constructor
EfficientNetXGPUB4: _Constructor
EfficientNetXGPUB5: _Constructor
EfficientNetXGPUB6: _Constructor
EfficientNetXGPUB7: _Constructor
EfficientNetHB5: _Constructor
EfficientNetHB6: _Constructor
EfficientNetHB7: _Constructor
EfficientNetHTPUB5: _Constructor
EfficientNetHTPUB6: _Constructor
EfficientNetHTPUB7: _Constructor
EfficientNetV2B0: _ConstructorV2
EfficientNetV2B1: _ConstructorV2
EfficientNetV2B2: _ConstructorV2
EfficientNetV2B3: _ConstructorV2
EfficientNetV2S: _ConstructorV2
EfficientNetV2M: _ConstructorV2
EfficientNetV2L: _ConstructorV2
EfficientNetV2XL: _ConstructorV2
