"""Which images a training step was made of."""

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.sources.source import Source, StreamSource


def images_of_step(source: Source, config: DataConfig, step: int, host_count: int) -> list[str]:
    """A name for each image of a step, over all hosts: a file, or a shard and a record.

    Args:
      source: of the run.
      config: with the seed of its order.
      step: counted from 1.
      host_count: how many hosts share the examples.

    Returns:
      The names; where the data have none, a line with their places in the order of the epoch.
    """
    start = (step - 1) * config.train_batch_size
    if not isinstance(source, StreamSource):
        epoch, index = divmod(start, source.num_train_images or start + 1)
        return [f"epoch {epoch}, from place {index} on: {config.train_batch_size} images"]
    names = []
    for host in range(host_count):
        stream = source.train_stream(config.seed, start, host, host_count)
        share = stream.take(config.train_batch_size // host_count)
        named = share.map(lambda element: source.name_train(element["raw"]))
        names += [name.decode(errors="replace") for name in named.as_numpy_iterator()]
    return names
