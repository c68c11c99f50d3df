"""The same work by PIL with timm's policies, in processes of its own. No TensorFlow here."""

import importlib.util
import io
import math
import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 224


def timm_policies():
    """timm's `auto_augment` module without the rest of timm (and PyTorch), or None."""
    package = importlib.util.find_spec("timm")
    if package is None:
        return None
    path = Path(package.origin).parent / "data" / "auto_augment.py"
    spec = importlib.util.spec_from_file_location("timm_auto_augment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Magnitude 2 asks for 0 bits, which Pillow 13 refuses.
    posterize = module.posterize
    module.NAME_TO_OP["Posterize"] = lambda image, bits, **_: posterize(image, max(bits, 1))
    return module


def decode_crop_flip(encoded: bytes) -> Image.Image:
    """torchvision's RandomResizedCrop and flip."""
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    width, height = image.size
    box = (0, 0, width, height)
    for _ in range(10):
        area = random.uniform(0.08, 1.0) * width * height
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            x, y = random.randint(0, width - w), random.randint(0, height - h)
            box = (x, y, x + w, y + h)
            break
    image = image.resize((SIZE, SIZE), Image.BICUBIC, box=box)
    return image.transpose(Image.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def task(name: str, images: np.ndarray, encoded: list[bytes]):
    """A function from an index to an image, or None where timm is not installed."""
    pictures = [Image.fromarray(image) for image in images]
    if name == "decode":
        return lambda i: decode_crop_flip(encoded[i % len(encoded)])
    timm = timm_policies()
    if timm is None:
        return None
    hparams = {"translate_const": 100 if name == "randaugment" else 250, "img_mean": (128,) * 3}
    if name == "randaugment":
        policy = timm.rand_augment_transform("rand-m10-n2", hparams)
    else:
        policy = timm.auto_augment_transform("v0", hparams)
    if name == "pipeline":
        return lambda i: policy(decode_crop_flip(encoded[i % len(encoded)]))
    return lambda i: policy(pictures[i % len(pictures)])


def _serve(connection, images, encoded):
    tasks = {}
    batch = np.empty([32, SIZE, SIZE, 3], np.uint8)
    while True:
        try:
            name, seconds = connection.recv()
        except EOFError:  # the benchmark has ended
            return
        if name not in tasks:
            tasks[name] = task(name, images, encoded)
        count, start, processor = 0, time.perf_counter(), time.process_time()
        while tasks[name] and time.perf_counter() - start < seconds:
            batch[count % 32] = np.asarray(tasks[name](count))
            count += 1
        connection.send((count, time.perf_counter() - start, time.process_time() - processor))


class Workers:
    """Processes that work on request, as a data loader's would."""

    def __init__(self, count: int, images: np.ndarray, encoded: list[bytes]):
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            context.Process(target=_serve, args=(theirs, images, encoded), daemon=True).start()
            self._pipes.append(ours)

    def run(self, name: str, seconds: float) -> tuple[int, float, float]:
        """Images of all processes together (0 without timm), wall and processor seconds."""
        for pipe in self._pipes:
            pipe.send((name, seconds))
        counts, walls, processors = zip(*(pipe.recv() for pipe in self._pipes), strict=True)
        return sum(counts), max(walls), sum(processors)
