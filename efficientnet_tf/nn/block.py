"""What the blocks of all families have in common."""

from collections import Counter
from collections.abc import Callable

import keras

from efficientnet_tf.arch.scaling import BlockPlan
from efficientnet_tf.nn.activation import activation_layer
from efficientnet_tf.nn.dropout import Dropout
from efficientnet_tf.nn.fake_quant import build_ranges, range_layer
from efficientnet_tf.nn.layers import (
    ConvBatchNorm,
    conv2d,
    normalization,
    propagate_freezing,
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
