"""tf.data service: the training pipeline on other machines' processors.

Workers share the work by what the source can split: blocks of positions where examples can be
fetched by number, whole epochs where records are read in sequence. Every example of an epoch is
still seen once and its draws stay what they were, but the order of the batches is that in which the
workers finish them. Evaluation stays at home, where every image is counted.
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


def distribute(batches: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """The same batches, made by the workers of a service.

    Args:
      batches: an endless data set whose source can be split.
      address: `host:port` of the dispatcher, or `local` for one inside this process.

    Raises:
      UserError: nobody listens there.
    """
    target = _local_service().address if address == LOCAL else _reachable(address)
    return batches.apply(_service.distribute(_service.ShardingPolicy.DYNAMIC, target))


@lru_cache(maxsize=1)
def _local_service() -> LocalService:
    return start_local_service()


def _reachable(address: str) -> str:
    """The address with its protocol; TensorFlow itself would wait for it without end."""
    host, _, port = address.removeprefix(_PROTOCOL).rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--tf_data_service={address}: no dispatcher answers there ({error}); it is host:port "
            f"or {LOCAL}"
        ) from None
    return f"{_PROTOCOL}{host}:{port}"
