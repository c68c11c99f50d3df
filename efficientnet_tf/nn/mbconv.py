"""The blocks of all families: inverted bottlenecks (Sandler et al. 2018) and their relatives."""

import keras
from keras import ops

from efficientnet_tf.arch.scaling import BlockPlan
from efficientnet_tf.nn.activation import activated
from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.condconv import CondConv2D, DepthwiseCondConv2D
from efficientnet_tf.nn.layers import depthwise_conv2d, register


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
