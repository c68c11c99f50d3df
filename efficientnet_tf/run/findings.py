"""What an evaluation tells beside its accuracy: which classes are mixed up, in which pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from efficientnet_tf.imagenet import BACKGROUND
from efficientnet_tf.run.confusion_picture import confusion_picture
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.train.worst_pictures import WorstPicture

_WORST_CLASSES = 5
# The accuracy of fewer images says little of a class.
_ENOUGH_IMAGES = 5


@dataclass(frozen=True)
class ClassResult:
    """One class of an evaluation.

    Attributes:
      number: the data's own, from 0; -1 for the background.
      name: of the class.
      images: of this class.
      correct: how many of them were taken for it.
      predicted: how many images of any class were taken for it.
      top_1: `correct / images`, None without images.
      most_confused_with: the class that most of the other images were taken for, None without any.
      times: how many these are.
    """

    number: int
    name: str
    images: int
    correct: int
    predicted: int
    top_1: float | None
    most_confused_with: str | None
    times: int


@dataclass(frozen=True)
class Findings:
    """The details of one evaluation.

    Attributes:
      names: one for each output of the network; the background's comes first if it has one.
      confusion: int64 [true class, predicted class], None where there are too many classes.
      worst: pictures, the worst first.
    """

    names: Sequence[str]
    confusion: np.ndarray | None
    worst: Sequence[WorstPicture]

    def classes(self) -> list[ClassResult]:
        """Each class's result, in the order of the network's outputs; none without `confusion`."""
        if self.confusion is None:
            return []
        mistakes = self.confusion.copy()
        np.fill_diagonal(mistakes, 0)
        first = -1 if self.names[0] == BACKGROUND else 0
        columns = [
            range(first, first + len(self.names)),
            self.names,
            self.confusion.sum(axis=1).tolist(),
            self.confusion.diagonal().tolist(),
            self.confusion.sum(axis=0).tolist(),
            mistakes.argmax(axis=1).tolist(),
            mistakes.max(axis=1).tolist(),
        ]
        return [
            ClassResult(
                number,
                name,
                images,
                correct,
                predicted,
                correct / images if images else None,
                self.names[other] if times else None,
                times,
            )
            for number, name, images, correct, predicted, other, times in zip(*columns, strict=True)
        ]

    def worst_classes(self) -> list[str]:
        """A heading, and a line for each of the few classes with the lowest accuracy.

        Empty without mistakes in a class that has enough images.
        """
        wrong = [c for c in self.classes() if c.times and c.images >= _ENOUGH_IMAGES]
        wrong = sorted(wrong, key=lambda c: c.correct / c.images)[:_WORST_CLASSES]
        if not wrong:
            return []
        width = max(len(c.name) for c in wrong)
        return ["worst classes:"] + [
            f"  {c.name:{width}}  {c.top_1:7.2%} of {c.images}, {c.times} taken for "
            f"{c.most_confused_with}"
            for c in wrong
        ]

    def pictures(self) -> dict[str, np.ndarray]:
        """`confusion_matrix` and `worst_pictures`, uint8 [height, width, 3], as far as known."""
        pictures = {}
        if self.confusion is not None:
            pictures["confusion_matrix"] = confusion_picture(self.confusion, self.names)
        if self.worst:
            captions = [
                f"{p.predicted_probability:.0%} {self.names[p.predicted]}\n"
                f"true {p.label_probability:.0%} {self.names[p.label]}"
                for p in self.worst
            ]
            images = np.stack([p.image for p in self.worst])
            pictures["worst_pictures"] = captioned_grid(images, captions)
        return pictures
