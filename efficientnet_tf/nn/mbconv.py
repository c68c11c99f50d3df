"""The blocks of all families: inverted bottlenecks (Sandler et al. 2018) and their relatives."""

from collections import Counter
from collections.abc import Callable

import keras
from keras import ops

from efficientnet_tf.arch.scaling import BlockPlan
from efficientnet_tf.nn.activation import activated, activation_layer
from efficientnet_tf.nn.condconv import CondConv2D, DepthwiseCondConv2D
from efficientnet_tf.nn.dropout import Dropout
from efficientnet_tf.nn.fake_quant import build_ranges, range_layer
from efficientnet_tf.nn.layers import (
    ConvBatchNorm,
    conv2d,
    depthwise_conv2d,
    normalization,
    propagate_freezing,
    register,
    said_if_quantized,
)
from efficientnet_tf.nn.squeeze_excite import SqueezeExcite
from efficientnet_tf.nn.step_context import current_step


def _numbered() -> Callable[[str], str]:
    """Names layers of one kind in call order, as TF1 did: `conv2d`, `conv2d_1`, ..."""
    counts: Counter[str] = Counter()

    def name(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind] - 1}" if counts[kind] > 1 else kind

    return name


class Block(keras.layers.Layer):
    """[space-to-depth ->] branch [-> drop, + input]; the branches are the subclasses.

    Input [N, H, W, channels], output [N, H', W', output_filters], H' = ceil(H / downsampling).
    `training` reaches the layers inside through Keras' call context.

    Args:
      plan: the block's numbers, a `BlockPlan` or its fields as a dictionary.
      batch_norm: keyword arguments of `BatchNormalization` (momentum, epsilon), None if each is
        folded into the convolution before it, which then has a bias.
      quantized: compute as an int8 network does, see `fake_quant`; with a folded batch norm.
    """

    def __init__(
        self,
        plan: BlockPlan | dict,
        batch_norm: dict | None,
        quantized: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.quantized = quantized
        self.plan = plan = plan if isinstance(plan, BlockPlan) else BlockPlan(**plan)
        self.batch_norm_settings = batch_norm and dict(batch_norm)
        self.sum_range = self.range_of("sum", plan.skip)
        self.numbered = _numbered()
        self.space_to_depth = None
        if plan.space_to_depth:
            self.space_to_depth = ConvBatchNorm(
                plan.input_filters,
                2,
                2,
                plan.activation,
                batch_norm,
                quantized=quantized,
                name="space2depth",
            )
        self.stochastic_depth = Dropout(
            1.0 - plan.survival_prob, per_example=True, name=f"{self.name}_stochastic_depth"
        )

    def conv(self, filters: int, kernel_size: int = 1, strides: int = 1) -> keras.layers.Layer:
        name = self.numbered("conv2d")
        padding, use_bias = self.plan.padding, self.is_folded
        return conv2d(
            filters,
            kernel_size,
            name,
            padding,
            self.quantized,
            strides=strides,
            use_bias=use_bias,
        )

    def activation_after(self, site: str) -> Callable:
        return activation_layer(self.plan.activation, self.quantized, site)

    def range_of(self, site: str, is_there: bool = True) -> Callable:
        """What rounds the tensor `site`, where there is one."""
        return range_layer(f"{site}_range", self.quantized and is_there)

    def norm(self) -> keras.layers.Layer:
        return normalization(self.batch_norm_settings, self.numbered("tpu_batch_normalization"))

    @property
    def is_folded(self) -> bool:
        return self.batch_norm_settings is None

    def normalized(self) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
        """Each convolution with the batch norm of its output, in the order of the forward pass."""
        raise NotImplementedError

    def squeeze_excite(self) -> SqueezeExcite | None:
        plan = self.plan
        if not plan.se_filters:
            return None
        return SqueezeExcite(
            plan.expanded_filters, plan.se_filters, plan.activation, self.quantized, name="se"
        )

    def build(self, input_shape):
        propagate_freezing(self)
        if self.space_to_depth:
            self.space_to_depth.build(input_shape)
        plan = self.plan
        filters = (plan.input_filters, plan.expanded_filters, plan.output_filters)
        self.build_branch(*((None, None, None, count) for count in filters))
        build_ranges(self)

    def build_branch(self, inputs, expanded, outputs):
        """Creates the variables, given the shapes before, inside and after the branch."""
        raise NotImplementedError

    def branch(self, inputs):
        """`(output, expansion)` of the branch beside the skip connection."""
        raise NotImplementedError

    def output_and_expansion(self, inputs):
        """The block's output and the tensor that enters its projection."""
        x = self.space_to_depth(inputs) if self.space_to_depth else inputs
        output, expansion = self.branch(x)
        if self.plan.skip:
            output = self.sum_range(self.stochastic_depth(output) + inputs)
        return output, expansion

    def call(self, inputs):
        step = current_step()
        if not (step and step.remat):
            return self.output_and_expansion(inputs)[0]
        from efficientnet_tf.nn import tensorflow_ops as kernels

        return kernels.recomputed(lambda x: self.output_and_expansion(x)[0], step)(inputs)

    def compute_output_shape(self, input_shape):
        n, *sides = input_shape[:3]
        sides = [side and -(-side // self.plan.downsampling) for side in sides]
        return (n, *sides, self.plan.output_filters)

    def get_config(self):
        config = {"plan": dict(vars(self.plan)), "batch_norm": self.batch_norm_settings}
        return {**super().get_config(), **config, **said_if_quantized(self.quantized)}


@register
class MBConvBlock(Block):
    """[expand -> BN -> act ->] depthwise -> BN -> act -> [SE ->] project -> BN."""

    def __init__(self, plan, batch_norm, quantized=False, **kwargs):
        super().__init__(plan, batch_norm, quantized, **kwargs)
        plan = self.plan
        self.expand_conv = None
        if plan.expands:
            self.expand_conv = self.conv(plan.expanded_filters)
            self.expand_norm = self.norm()
            self.expand_activation = self.activation_after("expand")
        self.depthwise_conv = self.depthwise(plan.kernel_size, plan.strides)
        self.depthwise_norm = self.norm()
        self.depthwise_activation = self.activation_after("depthwise")
        self.se = self.squeeze_excite()
        self.project_conv = self.conv(plan.output_filters)
        self.project_norm = self.norm()
        self.project_range = self.range_of("project")

    def depthwise(self, kernel_size: int, strides: int) -> keras.layers.Layer:
        name = self.numbered("depthwise_conv2d")
        return depthwise_conv2d(
            kernel_size, strides, name, self.plan.padding, self.is_folded, self.quantized
        )

    def normalized(self):
        expansion = [(self.expand_conv, self.expand_norm)] if self.expand_conv else []
        depthwise = (self.depthwise_conv, self.depthwise_norm)
        return [*expansion, depthwise, (self.project_conv, self.project_norm)]

    def build_branch(self, inputs, expanded, outputs):
        if self.expand_conv:
            self.expand_conv.build(inputs)
            self.expand_norm.build(expanded)
        self.depthwise_conv.build(expanded)
        self.depthwise_norm.build(expanded)
        if self.se:
            self.se.build(expanded)
        self.project_conv.build(expanded)
        self.project_norm.build(outputs)

    def routing(self, inputs) -> tuple:
        """What the convolutions take beside their input."""
        return ()

    def branch(self, inputs):
        routing = self.routing(inputs)
        x = inputs
        if self.expand_conv:
            x = activated(self.expand_activation, self.expand_norm(self.expand_conv(x, *routing)))
        x = self.depthwise_norm(self.depthwise_conv(x, *routing))
        x = activated(self.depthwise_activation, x)
        expansion = self.se(x) if self.se else x
        output = self.project_norm(self.project_conv(expansion, *routing))
        return self.project_range(output), expansion


@register
class CondMBConvBlock(MBConvBlock):
    """An MBConv block of conditional convolutions, routed by the mean of the block's input."""

    def __init__(self, plan, batch_norm, quantized=False, **kwargs):
        super().__init__(plan, batch_norm, quantized, **kwargs)
        self.router = keras.layers.Dense(
            self.plan.num_experts, activation="sigmoid", name=self.numbered("dense")
        )

    def conv(self, filters):
        settings = {"num_experts": self.plan.num_experts, "use_bias": self.is_folded}
        return CondConv2D(filters, **settings, name=self.numbered("cond_conv2d"))

    def depthwise(self, kernel_size, strides):
        name = self.numbered("depthwise_cond_conv2d")
        settings = {"num_experts": self.plan.num_experts, "use_bias": self.is_folded}
        return DepthwiseCondConv2D(
            kernel_size, strides, padding=self.plan.padding, **settings, name=name
        )

    def build_branch(self, inputs, expanded, outputs):
        self.router.build((None, inputs[-1]))
        super().build_branch(inputs, expanded, outputs)

    def routing(self, inputs):
        return (self.router(ops.mean(inputs, axis=(1, 2))),)


@register
class FusedMBConvBlock(Block):
    """k x k expand -> BN -> act -> [SE ->] project -> BN.

    Without expansion the k x k convolution is the projection: conv -> BN -> act.
    """

    def __init__(self, plan, batch_norm, quantized=False, **kwargs):
        super().__init__(plan, batch_norm, quantized, **kwargs)
        plan = self.plan
        self.expand_conv = self.se = None
        spatial = {"kernel_size": plan.kernel_size, "strides": plan.strides}
        if plan.expands:
            self.expand_conv = self.conv(plan.expanded_filters, **spatial)
            self.expand_norm = self.norm()
            self.expand_activation = self.activation_after("expand")
            self.se = self.squeeze_excite()
        self.project_conv = self.conv(plan.output_filters, **({} if plan.expands else spatial))
        self.project_norm = self.norm()
        if plan.expands:
            self.project_range = self.range_of("project")
        else:
            self.project_activation = self.activation_after("project")

    def normalized(self):
        expansion = [(self.expand_conv, self.expand_norm)] if self.expand_conv else []
        return [*expansion, (self.project_conv, self.project_norm)]

    def build_branch(self, inputs, expanded, outputs):
        if self.expand_conv:
            self.expand_conv.build(inputs)
            self.expand_norm.build(expanded)
        if self.se:
            self.se.build(expanded)
        self.project_conv.build(expanded)
        self.project_norm.build(outputs)

    def branch(self, inputs):
        if not self.expand_conv:
            x = self.project_norm(self.project_conv(inputs))
            return activated(self.project_activation, x), inputs
        x = activated(self.expand_activation, self.expand_norm(self.expand_conv(inputs)))
        expansion = self.se(x) if self.se else x
        return self.project_range(self.project_norm(self.project_conv(expansion))), expansion


_BLOCKS = {
    "mbconv": MBConvBlock,
    "fused_mbconv": FusedMBConvBlock,
    "cond_mbconv": CondMBConvBlock,
}


def build_block(plan: BlockPlan, batch_norm: dict | None, name: str) -> Block:
    """The block that a plan describes."""
    return _BLOCKS[plan.operator](plan, batch_norm, name=name)
