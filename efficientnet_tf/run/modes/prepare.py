"""`--mode=prepare`: a data set as TFRecord shards."""

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.data.prepare import default_shards, split_sizes
from efficientnet_tf.data.prepare import prepare as write_shards
from efficientnet_tf.data.sources.manifest import MANIFEST, Manifest, read_manifest
from efficientnet_tf.data.sources.source import StreamSource
from efficientnet_tf.imagenet import synsets
from efficientnet_tf.train.progress import Progress


def prepare(config: RunConfig) -> None:
    """Writes `--dataset` to `--prepared_dir`; where that is done already, checks the checksums.

    Raises:
      UserError: nothing to prepare, a folder that is in use, a picture that cannot be decoded.
    """
    folder = config.prepared_dir
    if not folder or not config.data.dataset:
        raise UserError(
            "--mode=prepare needs --dataset, --data_dir and --prepared_dir, the folder to write to"
        )
    if done := read_manifest(folder):
        _verify(done, folder)
    else:
        done = _write(config, folder)
    print(
        f"{folder}: {_count(done, 'train')} to train on, {_count(done, 'validation')} to evaluate, "
        f"{len(done.classes)} classes; --dataset=tfrecord --data_dir={folder}"
    )


def _verify(manifest: Manifest, folder: str) -> None:
    manifest.check_lengths(folder)
    total = manifest.num_images("train") + manifest.num_images("validation")
    progress = Progress("checking checksums", total, unit="image")
    manifest.check_content(folder, progress.update)
    progress.close()
    print(f"prepared before: all files are what {MANIFEST} says")


def _write(config: RunConfig, folder: str) -> Manifest:
    source = _source(config)
    sizes = split_sizes(source)
    shards = _said_shards(config.num_shards, sizes) or default_shards(sizes)
    progress = Progress("preparing", sum(sizes.values()), unit="image")
    done = write_shards(source, folder, shards, synsets(), progress.update)
    progress.close()
    return done


def _source(config: RunConfig) -> StreamSource:
    """The data, all of them."""
    if config.data.num_train_images or config.data.num_eval_images:
        raise UserError("--mode=prepare takes all images: leave out --num_train_images and "
                        "--num_eval_images")  # fmt: skip
    source = data.open_source(config.data)
    if not isinstance(source, StreamSource) or not source.label_names:
        raise UserError(f"--dataset={source.name} cannot be prepared: its classes have no names")
    if source.is_multi_label:
        raise UserError(
            f"{source.multi_label_reason}: TFRecord shards in the original's layout have one label "
            "for each picture"
        )
    return source


def _said_shards(text: str | None, sizes: dict[str, int]) -> dict[str, int] | None:
    """`--num_shards`, for the splits that have images; no shard is empty."""
    if text is None:
        return None
    numbers = text.split(",")
    if len(numbers) != 2 or not all(number.strip().isdigit() for number in numbers):
        raise UserError(f"--num_shards={text} must be two numbers, such as 1024,128")
    wanted = dict(zip(sizes, map(int, numbers), strict=True))
    for split, size in sizes.items():
        if size and not 1 <= wanted[split] <= size:
            raise UserError(
                f"--num_shards={text}: {wanted[split]} {split} shards for {size} images; at least "
                "one image goes in each"
            )
    return {split: wanted[split] for split, size in sizes.items() if size}


def _count(manifest: Manifest, split: str) -> str:
    shards = len(manifest.splits.get(split, []))
    return f"{manifest.num_images(split):,} images in {shards:,} shard{'s' * (shards != 1)}"
