"""`--mode=data_service`: one process of a tf.data service, until it is told to stop."""

import time

from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.data import service
from efficientnet_tf.train.stop_signals import StopSignals

_SECONDS_BETWEEN_LOOKS = 0.2


def data_service(config: RunConfig) -> None:
    """Is a dispatcher or a worker of the service at `--tf_data_service` until SIGINT or SIGTERM.

    Raises:
      UserError: `--role` or the address is missing, or the port is in use.
    """
    address = config.data.tf_data_service
    if config.role is None or address in (None, service.LOCAL):
        raise UserError(
            "--mode=data_service needs --role=dispatcher or --role=worker, and "
            "--tf_data_service=host:port with the dispatcher's address"
        )
    with StopSignals() as signals:
        server = _dispatcher(address) if config.role == "dispatcher" else _worker(address, signals)
        while not signals.received:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        del server  # ends its threads
    print(f"{config.role} stopped", flush=True)


def _dispatcher(address: str):
    server = service.start_dispatcher(address)
    print(
        f"dispatcher ready; workers and training take --tf_data_service={address}",
        flush=True,
    )
    return server


def _worker(address: str, signals: StopSignals):
    """A worker, once the dispatcher answers; None where a signal came first."""
    host = service.own_host(address)
    if host is None:
        print(f"waiting for the dispatcher at {address}", flush=True)
    while host is None and not signals.received:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        host = service.own_host(address)
    if host is None:
        return None
    server = service.start_worker(address, host)
    print(f"worker ready at {host}, dispatcher at {address}", flush=True)
    return server
