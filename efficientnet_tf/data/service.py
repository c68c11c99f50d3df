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


def start_dispatcher(address: str) -> _service.DispatchServer:
    """A dispatcher in this process, on the port of its address; it lives as long as this object.

    Raises:
      UserError: the address has no port, or the port is in use.
    """
    _, port = _host_and_port(address)
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise UserError(f"--tf_data_service={address}: {error.strerror}") from None
    return _service.DispatchServer(_service.DispatcherConfig(port=port))


def own_host(address: str) -> str | None:
    """This machine's address on the way to the dispatcher; None if nobody answers there.

    Raises:
      UserError: the address has no port.
    """
    try:
        with socket.create_connection(_host_and_port(address), _CONNECT_SECONDS) as connection:
            return connection.getsockname()[0]
    except OSError:
        return None


def start_worker(address: str, host: str) -> _service.WorkerServer:
    """A worker in this process, on a free port; it lives as long as this object.

    Args:
      address: of the dispatcher.
      host: of this machine, for the processes that train.
    """
    dispatcher = address.removeprefix(_PROTOCOL)
    return _service.WorkerServer(
        _service.WorkerConfig(dispatcher_address=dispatcher, worker_address=f"{host}:%port%")
    )


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix(_PROTOCOL).rpartition(":")
    if not port.isdigit():
        raise UserError(f"--tf_data_service={address} is not host:port")
    return host, int(port)


def _checked(address: str) -> str:
    """The address with its protocol, connected to once: TensorFlow would wait for it for ever."""
    try:
        host, port = _host_and_port(address)
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, UserError) as error:
        raise UserError(
            f"--tf_data_service={address}: no dispatcher answers there ({error}); it is host:port "
            f"or {LOCAL}"
        ) from None
    return f"{_PROTOCOL}{host}:{port}"
