"""`--mode=eval`."""

import json

from efficientnet_tf.config import RunConfig
from efficientnet_tf.run.evaluation import evaluate as evaluations
from efficientnet_tf.run.report import EvaluationReport
from efficientnet_tf.run.session import open_session


def evaluate(config: RunConfig) -> None:
    """Evaluates a run, or `init_checkpoint`; each result is a line of JSON.

    Raises:
      UserError: `eval_report` cannot be a folder, before anything else.
    """
    report = EvaluationReport(config.eval_report) if config.eval_report else None
    session = open_session(config, training=False)
    for result in evaluations(session, report):
        session.say(json.dumps(result))
