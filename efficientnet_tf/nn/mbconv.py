"""The mobile inverted bottleneck block (Sandler et al. 2018) with squeeze-excite."""

from collections import Counter
from collections.abc import Callable

import keras

from efficientnet_tf.arch.scaling import BlockPlan
from efficientnet_tf.nn.layers import (
    CONV_INITIALIZER,
    BatchNormalization,
    Dropout,
    SqueezeExcite,
    conv2d,
    register,
)


def _numbered() -> Callable[[str], str]:
    """Names layers of one kind in call order, as TF1 did: `conv2d`, `conv2d_1`, ..."""
    counts: Counter[str] = Counter()

    def name(kind: str) -> str:
        counts[kind] += 1
        return kind if counts[kind] == 1 else f"{kind}_{counts[kind] - 1}"

    return name


@register
class MBConvBlock(keras.layers.Layer):
    """[expand -> BN -> act] -> depthwise -> BN -> act -> [SE] -> project -> BN [-> drop, + input].

    Input [N, H, W, input_filters], output [N, H', W', output_filters] with H' = ceil(H / strides).

    Args:
      plan: the block's numbers, a `BlockPlan` or its fields as a dictionary.
      batch_norm: keyword arguments of `BatchNormalization` (momentum, epsilon).
    """

    def __init__(self, plan: BlockPlan | dict, batch_norm: dict, **kwargs):
        super().__init__(**kwargs)
        self.plan = plan = plan if isinstance(plan, BlockPlan) else BlockPlan(**plan)
        self.batch_norm_settings = dict(batch_norm)
        self.activation = keras.activations.get(plan.activation)
        name = _numbered()

        def norm() -> BatchNormalization:
            return BatchNormalization(name=name("tpu_batch_normalization"), **batch_norm)

        self.expand_conv = None
        if plan.expanded_filters != plan.input_filters:
            self.expand_conv = conv2d(plan.expanded_filters, 1, name("conv2d"))
            self.expand_norm = norm()
        self.depthwise_conv = keras.layers.DepthwiseConv2D(
            plan.kernel_size,
            plan.strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=CONV_INITIALIZER,
            name=name("depthwise_conv2d"),
        )
        self.depthwise_norm = norm()
        self.se = None
        if plan.se_filters:
            self.se = SqueezeExcite(
                plan.expanded_filters, plan.se_filters, plan.activation, name="se"
            )
        self.project_conv = conv2d(plan.output_filters, 1, name("conv2d"))
        self.project_norm = norm()
        self.stochastic_depth = Dropout(
            1.0 - plan.survival_prob, per_example=True, name=f"{self.name}_stochastic_depth"
        )

    def build(self, input_shape):
        inputs, expanded, outputs = (
            (None, None, None, filters)
            for filters in (
                self.plan.input_filters,
                self.plan.expanded_filters,
                self.plan.output_filters,
            )
        )
        if self.expand_conv:
            self.expand_conv.build(inputs)
            self.expand_norm.build(expanded)
        self.depthwise_conv.build(expanded)
        self.depthwise_norm.build(expanded)
        if self.se:
            self.se.build(expanded)
        self.project_conv.build(expanded)
        self.project_norm.build(outputs)

    def expand(self, inputs, training=None):
        """The tensor that enters the projection, endpoint `expansion_output`."""
        x = inputs
        if self.expand_conv:
            x = self.activation(self.expand_norm(self.expand_conv(x), training=training))
        x = self.activation(self.depthwise_norm(self.depthwise_conv(x), training=training))
        return self.se(x) if self.se else x

    def project(self, expansion, inputs, training=None):
        """The block's output from its two ends."""
        x = self.project_norm(self.project_conv(expansion), training=training)
        if self.plan.skip:
            x = self.stochastic_depth(x, training=training) + inputs
        return x

    def call(self, inputs, training=None):
        return self.project(self.expand(inputs, training=training), inputs, training=training)

    def get_config(self):
        config = {"plan": dict(vars(self.plan)), "batch_norm": self.batch_norm_settings}
        return {**super().get_config(), **config}


@register
class BlockWithExpansion(keras.layers.Layer):
    """A block of another network, sharing its weights, that returns `(output, expansion)`."""

    def __init__(self, block: MBConvBlock, **kwargs):
        super().__init__(**{"name": f"{block.name}_with_expansion", **kwargs})
        self.block = block

    def call(self, inputs, training=None):
        expansion = self.block.expand(inputs, training=training)
        return self.block.project(expansion, inputs, training=training), expansion

    def build(self, input_shape):
        if not self.block.built:
            self.block.build(input_shape)

    def get_config(self):
        block = keras.saving.serialize_keras_object(self.block)
        return {**super().get_config(), "block": block}

    @classmethod
    def from_config(cls, config):
        block = keras.saving.deserialize_keras_object(config.pop("block"))
        return cls(block, **config)
