"""Pictures beside what speaks for their likeliest class: `--mode=predict --explain=DIR`."""

import os
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.grad_cam import grad_cam
from efficientnet_tf.run.picture import captioned_grid, colour_scale

# Ten equidistant colours of "inferno", which grows evenly in brightness, also for the colour-blind.
_INFERNO = (
    "#000004", "#1b0c42", "#4b0c6b", "#781c6d", "#a52c60",
    "#cf4446", "#ed6925", "#fb9a06", "#f7d03c", "#fcffa4",
)  # fmt: skip
_GAP = 4


class Explanations:
    """The files of a folder, one for each picture: `dog.jpg.png` for `dog.jpg`.

    Below the folder that all pictures have in common, their own folders are kept: equal names in
    different folders do not meet.

    Args:
      folder: is made when the first file is written.
      pictures: the paths of all pictures that will come.

    Raises:
      UserError: the folder is a file, or one of the files is there already.
    """

    def __init__(self, folder: str, pictures: Sequence[str]):
        if tf.io.gfile.exists(folder) and not tf.io.gfile.isdir(folder):
            raise UserError(f"--explain={folder} is a file; name a folder")
        places = [os.path.abspath(picture) for picture in pictures]
        common = os.path.commonpath([os.path.dirname(place) for place in places])
        names = [f"{os.path.relpath(place, common)}.png" for place in places]
        self._files = {
            picture: f"{folder.rstrip('/')}/{name}"
            for picture, name in zip(pictures, names, strict=True)
        }
        there = [file for file in self._files.values() if tf.io.gfile.exists(file)]
        if there:
            raise UserError(
                f"--explain={folder}: {there[0]} is there already; remove it or name a new folder"
            )

    def write(self, model: keras.Model, images: np.ndarray, results: Sequence[dict]) -> None:
        """Writes a batch, and the path of each file into its result, as `explanation`.

        Args:
          images: float32 [N, S, S, 3] in 0..255, what the network saw.
          results: of the `Predictor`, one for each image.
        """
        for image, heat, result in zip(images, grad_cam(model, images), results, strict=True):
            best = result["predictions"][0]
            caption = f"{best['probability']:.1%}  {best['name']}"
            picture = captioned_grid(_side_by_side(image, heat)[None], [caption])
            path = self._files[result["file"]]
            tf.io.gfile.makedirs(os.path.dirname(path))
            tf.io.write_file(path, tf.io.encode_png(picture))
            result["explanation"] = path


def _side_by_side(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image, and the image in grey under its heat map: [S, 2 S + gap, 3] in 0..255."""
    image = np.clip(image, 0, 255)
    size = image.shape[1::-1]
    heat = np.asarray(Image.fromarray(heat / (heat.max() or 1)).resize(size, Image.BICUBIC))
    grey = image.mean(-1, keepdims=True)
    gap = np.full([len(image), _GAP, 3], 255.0)
    return np.concatenate([image, gap, (colour_scale(heat, _INFERNO) + grey) / 2], axis=1)
