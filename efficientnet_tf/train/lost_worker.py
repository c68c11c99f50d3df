"""One line for the end of a run that has lost a worker: which one, and where to go on.

TensorFlow notices by itself. Every worker sends heartbeats to the first one from a thread of C++,
which neither a compilation nor a long evaluation nor Python's lock delays; ten seconds without one,
or a closed connection, and every collective operation fails, the one in progress and all later
ones. So no watch of our own is needed: a worker fails where it next meets the others, and one that
is writing or compiling finishes that before. What TensorFlow does not say in a line is who is gone.
The closed connection is no answer: a worker that ends because of another closes its own.
"""

import contextlib
import time
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.eager import context

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.formats.run_checkpoint import checkpoint_step, list_checkpoints

# Of a collective operation without its peer. An error of this worker's own is of another class.
_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
_WORDS = ("Collective ops is aborted", "from remote target /job:", "CoordinationService")
# The heartbeat's ten seconds, and what its sender and its judge add by their own clocks.
_SECONDS_TO_KNOW = 18.0
_PROBE_SECONDS = 4
# The first worker keeps the list of who lives: the others read it before it ends too.
_SECONDS_TO_TELL = 3.0


@contextlib.contextmanager
def lost_worker_explained(model_dir: str | None = None) -> Iterator[None]:
    """Turns the failure of communication in the block into a line; takes up to 25 seconds for it.

    Args:
      model_dir: of a training, whose newest checkpoint the line names.

    Raises:
      UserError: another worker of the run is gone.
    """
    try:
        yield
    except _ERRORS as error:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        # The GPUs of one process use the same operations.
        has_others = bool(resolver.cluster_spec().as_dict())
        if not has_others or not any(word in str(error) for word in _WORDS):
            raise
        raise UserError(f"{_name_lost(resolver)}; {_advice(model_dir)}") from None


def _advice(model_dir: str | None) -> str:
    if not model_dir:
        return "start all workers again"
    newest = next(map(checkpoint_step, list_checkpoints(model_dir)), None)
    if newest is None:
        return f"nothing is saved in {model_dir} yet: start all workers again"
    return f"the checkpoint of step {newest} is intact: start all workers again to go on from it"


def _name_lost(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> str:
    """Who is gone, a clause."""
    cluster = resolver.cluster_spec().as_dict()
    jobs = [(job, len(cluster[job])) for job in ("chief", "worker") if job in cluster]
    tasks = [(job, index) for job, count in jobs for index in range(count)]
    lost = [tasks[place] for place in _lost_places(jobs)]
    if not lost:
        return "another worker of this run is gone"
    if (resolver.task_type, resolver.task_id) in lost:
        return "this worker gave no sign of life for too long, and the others ended without it"
    names = [f"{job} {index} ({cluster[job][index]})" for job, index in lost]
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} gone or hung"


def _lost_places(jobs: list[tuple[str, int]]) -> list[int]:
    """The places in the cluster, the first worker's being 0; none if it cannot be told."""
    first = f"/job:{jobs[0][0]}/replica:0/task:0"
    deadline = time.monotonic() + _SECONDS_TO_KNOW
    while time.monotonic() < deadline:
        try:
            # A question to a host that hangs has no limit of time; this probe has.
            context.context().check_collective_ops_peer_health(first, _PROBE_SECONDS * 1000)
            states = context.context().get_task_states(jobs)
        except tf.errors.OpError:
            return [0]
        if lost := [place for place, state in enumerate(states) if state is not None]:
            time.sleep(_SECONDS_TO_TELL)
            return [0] if 0 in lost else lost  # who slept itself has heard of nobody
        time.sleep(1.0)
    return []
