"""A SavedModel that takes pictures as they are stored, for any TensorFlow and its Serving."""

import tensorflow as tf

from efficientnet_tf.data.pictures import preprocess
from efficientnet_tf.data.pictures.attempt import picture_problem, try_decode
from efficientnet_tf.exports.network import ExportedNetwork

TOP = 5
# The signature that takes images; the default one takes encoded pictures.
IMAGES = "images"


def write_saved_model(network: ExportedNetwork, path: str) -> None:
    """Writes a SavedModel that needs TensorFlow alone.

    Its signatures return `probabilities` float32 [N, C], and of the likeliest five (or C) classes,
    best first, `classes` int64, `scores` float32 and `labels` string [N, 5]:
      `serving_default`: `pictures`, string [N], JPEG, PNG, GIF, BMP or WebP. Also returns `error`,
        string [N], empty where a picture could be decoded; elsewhere the reason, with classes of -1
        and probabilities of 0.
      `images`: `images`, float32 [N, S, S, 3], RGB in 0..255.
    """
    size, labels = network.image_size, tf.constant(network.label_names)
    top = min(TOP, len(network.label_names))

    def results(images: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = network.model(images, training=False)
        scores, classes = tf.math.top_k(probabilities, top)
        return {
            "probabilities": probabilities,
            "classes": tf.cast(classes, tf.int64),
            "scores": scores,
            "labels": tf.gather(labels, classes),
        }

    def read(picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ok, pixels = try_decode(picture, preprocess.eval_box(size))
        image = preprocess.resize(pixels, size, network.resize_method)
        return image, tf.cond(ok, lambda: tf.constant(""), lambda: picture_problem(picture))

    def serve(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        images, error = tf.map_fn(read, pictures, fn_output_signature=(tf.float32, tf.string))
        images = tf.ensure_shape(images, [None, size, size, 3])
        found, good = results(images), tf.equal(error, "")
        nothing = {"probabilities": 0.0, "classes": tf.constant(-1, tf.int64), "scores": 0.0,
                   "labels": ""}  # fmt: skip
        found = {name: tf.where(good[:, None], found[name], nothing[name]) for name in found}
        return {**found, "error": error}

    module = tf.Module()  # Keras' ExportArchive would save every variable twice
    module.weights = [variable.value for variable in network.model.variables]
    shape = [None, size, size, 3]
    signatures = {
        "serving_default": _function(serve, tf.TensorSpec([None], tf.string, "pictures")),
        IMAGES: _function(results, tf.TensorSpec(shape, tf.float32, "images")),
    }
    tf.saved_model.save(module, path, signatures)


def _function(python, spec: tf.TensorSpec):
    return tf.function(python, autograph=False).get_concrete_function(spec)
