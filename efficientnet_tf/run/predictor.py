"""The likeliest classes of picture files."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.exports.frozen import inference_function
from efficientnet_tf.imagenet import BACKGROUND, class_names
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.explanations import Explanations
from efficientnet_tf.weights.loading import load_opened
from efficientnet_tf.weights.opened import OpenedWeights

_TOP = 5


class Predictor:
    """A network with its weights and the names of its classes.

    Args:
      network: what the weights are for.
      weights: opened.
      batch_size: pictures at once.
      explanations: where to draw what speaks for the likeliest class, None for nowhere.
      is_frozen: run the network as `inference_function`, which takes seconds to make and pays off
        from some thousand pictures on.

    Attributes:
      brightest: the largest pixel value seen, None before the first picture.
    """

    def __init__(
        self,
        network: ModelConfig,
        weights: OpenedWeights,
        batch_size: int,
        explanations: Explanations | None = None,
        is_frozen: bool = False,
    ):
        self.network, self._batch_size, self._explanations = network, batch_size, explanations
        size = network.input_size
        activation = weights.classifier_activation
        self._model: keras.Model = build_network(
            network, input_shape=(size, size, 3), classifier_activation=activation
        )
        load_opened(self._model, weights)
        self._probabilities = (inference_function if is_frozen else _traced)(self._model)
        self._names = class_names(network.num_classes, weights.label_names)
        # The data's classes are 0, 1, ... whether the network has a background class or not.
        self._offset = int(self._names[0] == BACKGROUND)
        self.brightest: float | None = None

    def predict(self, paths: Iterable[str]) -> Iterator[dict]:
        """One result for each path, in order: `file`, and `predictions` or `error`.

        The next pictures are decoded while the network is at work.

        With explanations `explanation` too, the path of its picture.

        `predictions` are the five likeliest classes and all that are likelier than not, best first:
        `class`, the data's own number (-1 for the background), `name` and `probability`. Of a run
        with `sigmoid` or `focal` loss each probability is for itself.
        """
        pictures = self._pictures(paths)
        while batch := list(itertools.islice(pictures, self._batch_size)):
            yield from self._batch(batch)

    def _pictures(self, paths) -> Iterator[tuple[str, np.ndarray | UserError]]:
        """Each path with its picture or what is wrong with it, read up to two batches ahead."""
        paths, pending = iter(paths), deque()
        with ThreadPoolExecutor() as pool:
            while True:
                for path in itertools.islice(paths, 2 * self._batch_size - len(pending)):
                    pending.append((path, pool.submit(self._read, path)))
                if not pending:
                    return
                path, picture = pending.popleft()
                yield path, picture.result()

    def _batch(self, batch) -> list[dict]:
        results = [
            {"file": path, **({"error": str(picture)} if isinstance(picture, UserError) else {})}
            for path, picture in batch
        ]
        good = [result for result in results if "error" not in result]
        if good:
            images = np.stack([picture for _, picture in batch if isinstance(picture, np.ndarray)])
            probabilities = self._probabilities(images).numpy()
            self.brightest = max(self.brightest or 0.0, float(np.max(images)))
            for result, row in zip(good, probabilities, strict=True):
                result["predictions"] = self._best(row)
            if self._explanations:
                self._explanations.write(self._model, images, good)
        return results

    def _read(self, path) -> np.ndarray | UserError:
        try:
            return data.read_picture(path, self.network.input_size, self.network.resize_method)
        except UserError as error:
            return error

    def _best(self, probabilities) -> list[dict]:
        count = max(_TOP, np.count_nonzero(probabilities > 0.5))
        best = np.argsort(-probabilities, kind="stable")[:count].tolist()
        return [
            {
                "class": index - self._offset,
                "name": self._names[index],
                "probability": float(probabilities[index]),
            }
            for index in best
        ]


def _traced(model: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """For batches of any size. Keras' own `predict` would have XLA compile the network.

    On a CPU that takes longer than most predictions do, and TensorFlow's build for TPUs has no XLA
    for the CPU.
    """
    images = tf.TensorSpec(model.input_shape, tf.float32)
    return tf.function(
        lambda images: model(images, training=False), input_signature=[images], autograph=False
    )
