"""What AutoAugment and RandAugment share: the table of operations, the draw, and its execution.

A policy is a list of sub-policies, a sub-policy a list of steps `(operation, probability,
magnitude)`. The draw (which sub-policy, which of its steps, which signs) is small arithmetic on
uniform numbers, apart from the pixels, so that it can be tested by the ten thousand.

A new operation is one function and one row: `OPERATIONS["Blur"] = Operation(blur, radius_of)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError, unknown_name
from efficientnet_tf.data.augment import color_ops, geometry


@dataclass(frozen=True)
class Reach:
    """What magnitude 10 means where AutoAugment and RandAugment differ, in pixels."""

    translate: float
    cutout: float


@dataclass(frozen=True)
class Operation:
    """A row of the table.

    Attributes:
      function: `uint8 [H, W, 3]` and the argument, if there is one, -> `uint8 [H, W, 3]`.
      argument: from magnitude (0..10, more for RandAugment) and reach to the argument; None for a
        function of the image alone.
      signed: whether the argument's sign flips with probability 1/2.
      located: whether the function also takes `float32 [2]`, a random place in [0, 1).
      neutral: the argument that changes nothing, so that the step can be left out.
    """

    function: Callable[..., tf.Tensor]
    argument: Callable[[float, Reach], float] | None = None
    signed: bool = False
    located: bool = False
    neutral: float | None = None

    def apply(self, image: tf.Tensor, argument: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        if self.argument is None:
            return self.function(image)
        return self.function(image, argument, *([place] if self.located else []))


def _moves(function: Callable, argument: Callable[[float, Reach], float]) -> Operation:
    return Operation(function, argument, signed=True, neutral=0.0)


def _blends(function: Callable) -> Operation:
    return Operation(function, lambda magnitude, _: magnitude * 0.18 + 0.1, neutral=1.0)


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": Operation(color_ops.autocontrast),
    "Equalize": Operation(color_ops.equalize),
    "Invert": Operation(color_ops.invert),
    "Rotate": _moves(geometry.rotate, lambda magnitude, _: magnitude / 10 * 30.0),
    "Posterize": Operation(color_ops.posterize, lambda magnitude, _: int(magnitude / 10 * 4)),
    "Solarize": Operation(color_ops.solarize, lambda magnitude, _: int(magnitude / 10 * 256)),
    "SolarizeAdd": Operation(
        color_ops.solarize_add, lambda magnitude, _: int(magnitude / 10 * 110), neutral=0.0
    ),
    "Color": _blends(color_ops.color),
    "Contrast": _blends(color_ops.contrast),
    "Brightness": _blends(color_ops.brightness),
    "Sharpness": _blends(color_ops.sharpness),
    "ShearX": _moves(geometry.shear_x, lambda magnitude, _: magnitude / 10 * 0.3),
    "ShearY": _moves(geometry.shear_y, lambda magnitude, _: magnitude / 10 * 0.3),
    "TranslateX": _moves(
        geometry.translate_x, lambda magnitude, reach: magnitude / 10 * reach.translate
    ),
    "TranslateY": _moves(
        geometry.translate_y, lambda magnitude, reach: magnitude / 10 * reach.translate
    ),
    "Cutout": Operation(
        geometry.cutout,
        lambda magnitude, reach: int(magnitude / 10 * reach.cutout),
        located=True,
        neutral=0.0,
    ),
}


class Step(NamedTuple):
    """One operation of a sub-policy, its probability 0..1 and its magnitude, 0..10 or more."""

    operation: str
    probability: float
    magnitude: float


class Draw(NamedTuple):
    """What is to be done, in order. `[..., steps]`, places `[..., steps, 2]`.

    `operation` is a position in `Policy.operations`, or -1 for nothing.
    """

    operation: tf.Tensor
    argument: tf.Tensor
    place: tf.Tensor


class Policy:
    """Draws a sub-policy uniformly and applies each of its steps with its probability.

    Args:
      sub_policies: each a sequence of `Step`s, or of tuples like them.
      num_layers: how many sub-policies are drawn and applied, one after the other.
      reach: what the magnitudes mean in pixels.

    Raises:
      UserError: unknown operation, probability outside 0..1, negative magnitude, empty policy.
    """

    def __init__(self, sub_policies: Sequence[Sequence[Step]], num_layers: int, reach: Reach):
        sub_policies = [[Step(*step) for step in steps] for steps in sub_policies]
        self.operations = sorted({step.operation for steps in sub_policies for step in steps})
        self._rows = _table(sub_policies, self.operations, reach)
        self._num_layers = num_layers

    def __call__(self, image: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Augments one image.

        Args:
          image: `uint8 [H, W, 3]`.
          seed: `int32 [2]`; the result is a pure function of image and seed. None draws afresh.

        Returns:
          `uint8 [H, W, 3]`.

        Raises:
          UserError: an image of another type or rank.
        """
        image = _checked(tf.convert_to_tensor(image))
        if seed is None:
            seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        draw = self._draw_from(seed)
        for step in range(draw.operation.shape[-1]):
            image = self._apply(image, draw.operation[step], draw.argument[step], draw.place[step])
        return image

    def describe(self, seed: tf.Tensor) -> list[str]:
        """The names of the operations that a call with this seed applies, in order. Eager only."""
        applied = self._draw_from(seed).operation.numpy()
        return [self.operations[index] for index in applied if index >= 0]

    @property
    def uniforms_shape(self) -> tuple[int, int]:
        """Shape of the numbers that one draw takes."""
        return self._num_layers, 1 + 4 * self._rows.shape[1]

    def get_config(self) -> dict:
        """The constructor's arguments, so that Keras can save a layer that holds a policy."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict) -> "Policy":
        return cls(**config)

    def draw(self, uniforms: tf.Tensor) -> Draw:
        """Turns uniform numbers into decisions.

        Args:
          uniforms: `float32 [..., *uniforms_shape]` in [0, 1). Per layer: the choice of the
            sub-policy, then for each step whether it applies, its sign, and its place.
        """
        leading = tf.shape(uniforms)[:-2]
        num_rows, num_steps, _ = self._rows.shape
        choice = tf.cast(uniforms[..., 0] * num_rows, tf.int32)
        rows = tf.gather(self._rows, choice)
        operation, probability, argument, signed = tf.unstack(rows, axis=-1)
        per_step = tf.reshape(uniforms[..., 1:], tf.concat([tf.shape(argument), [4]], 0))
        applies = per_step[..., 0] < probability
        negative = (per_step[..., 1] < 0.5) & (signed > 0)
        flat = tf.concat([leading, [self._num_layers * num_steps]], 0)
        return Draw(
            operation=tf.reshape(tf.where(applies, tf.cast(operation, tf.int32), -1), flat),
            argument=tf.reshape(tf.where(negative, -argument, argument), flat),
            place=tf.reshape(per_step[..., 2:], tf.concat([flat, [2]], 0)),
        )

    def _draw_from(self, seed: tf.Tensor) -> Draw:
        return self.draw(tf.random.stateless_uniform(self.uniforms_shape, seed))

    def _apply(
        self, image: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, place: tf.Tensor
    ) -> tf.Tensor:
        branches = [lambda: image]
        for name in self.operations:
            branches.append(lambda row=OPERATIONS[name]: row.apply(image, argument, place))
        augmented = tf.switch_case(operation + 1, branches)
        if not tf.executing_eagerly():
            _call_only_the_chosen(augmented)
        return tf.ensure_shape(augmented, image.shape)


def _call_only_the_chosen(chosen: tf.Tensor) -> None:
    """Makes a traced `tf.switch_case` call its branch as a function.

    TensorFlow would put all branches in line and visit every operation of those that are not
    taken: with sixteen that takes longer than most of them.
    """
    switch = chosen.op
    while switch.type == "Identity":
        switch = switch.inputs[0].op
    switch._set_attr("_lower_using_switch_merge", tf.compat.v1.AttrValue(b=False))


def _checked(image: tf.Tensor) -> tf.Tensor:
    """The image itself; inside the operations an error would speak of kernels and branches."""
    if image.dtype != tf.uint8 or not image.shape.is_compatible_with([None, None, 3]):
        raise UserError(
            f"a policy takes one image, uint8 [H, W, 3], not {image.dtype.name} {image.shape}; "
            "the layer Augmentation takes other types and batches"
        )
    return image


def _table(
    sub_policies: Sequence[Sequence[Step]], operations: Sequence[str], reach: Reach
) -> np.ndarray:
    """`float32 [sub-policies, steps, 4]`: operation, probability, argument, signed.

    Operation -1 does nothing: it fills short sub-policies and stands for neutral steps.
    """
    if not sub_policies or not operations:
        raise UserError("an augmentation policy needs at least one step")
    longest = max(len(steps) for steps in sub_policies)
    rows = np.tile(np.array([-1, 0, 0, 0], np.float32), [len(sub_policies), longest, 1])
    for i, steps in enumerate(sub_policies):
        for j, step in enumerate(steps):
            rows[i, j] = _row(step, operations, reach)
    return rows


def _row(step: Step, operations: Sequence[str], reach: Reach) -> tuple[float, ...]:
    if step.operation not in OPERATIONS:
        raise unknown_name("augmentation", step.operation, OPERATIONS)
    if not 0 <= step.probability <= 1 or step.magnitude < 0:
        raise UserError(f"{step}: a probability lies in 0..1, a magnitude is not negative")
    operation = OPERATIONS[step.operation]
    argument = operation.argument(step.magnitude, reach) if operation.argument else 0.0
    idle = operation.argument is not None and argument == operation.neutral
    index = -1 if idle else operations.index(step.operation)
    return index, step.probability, argument, operation.signed
