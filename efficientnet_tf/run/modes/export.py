"""`--mode=export`."""

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.run.exporting import check_export, export_network, network_to_export
from efficientnet_tf.run.resolve import resolve, with_loss
from efficientnet_tf.run.starting_point import to_predict
from efficientnet_tf.weights.formats.run_checkpoint import check_best
from efficientnet_tf.weights.loading import load_opened


def export(config: RunConfig) -> None:
    """Writes a run's best weights, or `init_checkpoint`, to `export_dir` in `export_formats`.

    The formats are compared on the evaluation split of the data that the flags name.

    Raises:
      UserError: before anything is written; or a format that is not in the export, after that.
    """
    where = config.train.model_dir or config.train.init_checkpoint
    if not where or not config.export_dir:
        raise UserError("--mode=export needs --export_dir, a new folder, and --init_checkpoint or "
                        "the --model_dir of a run")  # fmt: skip
    check_export(config)
    check_best(where)
    weights = to_predict(config)
    config = with_loss(config, weights, new_classifier=False)
    has_data = config.data.dataset or config.data.data_dir
    source = data.open_source(config.data) if has_data else None
    network, config = resolve(config, weights, source)
    model = network_to_export(network, config.train.loss)
    load_opened(model, weights)
    export_network(model, config, source, weights.label_names)
