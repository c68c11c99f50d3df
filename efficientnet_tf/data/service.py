"""tf.data service: the training pipeline runs on the processors of other machines.

The dispatcher hands out the elements that the source starts from: blocks of positions where
examples are fetched by number, whole epochs where records are read in sequence. Every example of an
epoch is still seen once, with the same random draws, but batches come in the order in which the
workers finish them. Evaluation does not use the service, so that every image is counted once.
"""

import socket
from functools import lru_cache
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.config import UserError

LOCAL = "local"
_PROTOCOL = "grpc://"
_CONNECT_SECONDS = 5
_service = tf.data.experimental.service


class LocalService(NamedTuple):
    """A dispatcher and its workers in this process; they live as long as this object."""

    dispatcher: _service.DispatchServer
    workers: list[_service.WorkerServer]

    @property
    def address(self) -> str:
        return self.dispatcher.target


def start_local_service(num_workers: int = 1) -> LocalService:
    """Starts a service on free ports of this machine."""
    dispatcher = _service.DispatchServer()
    address = dispatcher.target.removeprefix(_PROTOCOL)
    workers = [
        _service.WorkerServer(_service.WorkerConfig(dispatcher_address=address))
        for _ in range(num_workers)
    ]
    return LocalService(dispatcher, workers)


def produce_on_service(batches: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """The batches of a data set, produced by the workers of a tf.data service.

    Args:
      batches: an endless data set whose source can be split.
      address: `host:port` of the dispatcher, or `local` for one inside this process.

    Raises:
      UserError: no dispatcher answers at the address.
    """
    target = _local_service().address if address == LOCAL else _checked(address)
    return batches.apply(_service.distribute(_service.ShardingPolicy.DYNAMIC, target))


@lru_cache(maxsize=1)
def _local_service() -> LocalService:
    return start_local_service()


def _checked(address: str) -> str:
    """The address with its protocol, connected to once: TensorFlow would wait for it for ever."""
    host, _, port = address.removeprefix(_PROTOCOL).rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--tf_data_service={address}: no dispatcher answers there ({error}); it is host:port "
            f"or {LOCAL}"
        ) from None
    return f"{_PROTOCOL}{host}:{port}"
