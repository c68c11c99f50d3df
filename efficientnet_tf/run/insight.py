"""Collects the findings of a session's evaluations."""

from collections.abc import Sequence

from efficientnet_tf.imagenet import class_names, imagenet_labels
from efficientnet_tf.run.findings import Findings
from efficientnet_tf.run.session import Session
from efficientnet_tf.train.confusion import MOST_CLASSES, ConfusionMatrix
from efficientnet_tf.train.observer import Observer
from efficientnet_tf.train.worst_pictures import WorstPictures


class Insight:
    """Looks at every batch of a session's evaluator.

    Args:
      session: all of its workers have one. Where an image may have several labels there is nothing
        to see: no class is taken for another.
      label_names: of the data, where the session's source has none.
    """

    def __init__(self, session: Session, label_names: Sequence[str] | None = None):
        classes = session.network.num_classes
        self._names = _output_names(session, label_names)
        self._worst = self._confusion = None
        if session.source.is_multi_label:
            return
        self._worst = WorstPictures(session.strategy, session.config.data.image_size)
        if classes <= MOST_CLASSES:
            self._confusion = ConfusionMatrix(session.strategy, classes)
        else:
            session.say(
                f"{classes:,} classes: results by class are kept of {MOST_CLASSES:,} at most"
            )

    @property
    def observers(self) -> list[Observer]:
        """What the evaluator must show its batches to."""
        return [observer for observer in (self._confusion, self._worst) if observer]

    def findings(self) -> Findings:
        """Of the evaluation that has ended; every worker must ask."""
        confusion = self._confusion.read() if self._confusion else None
        return Findings(self._names, confusion, self._worst.read() if self._worst else [])


def _output_names(session: Session, label_names: Sequence[str] | None) -> list[str]:
    """A name for each output of the network, of ImageNet's classes the first of its names."""
    source = session.source
    names = source.label_names or label_names
    imagenet = imagenet_labels()
    if not names and source.num_classes in (None, len(imagenet)):
        names = [name.split(",")[0] for name in imagenet]
    elif not names:
        names = [str(number) for number in range(source.num_classes)]
    return class_names(session.network.num_classes, names)
