"""`--mode=convert`."""

from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.weights import conversion


def convert(config: RunConfig) -> None:
    """Writes the weights of `init_checkpoint`, of a run its averages, in the target's format."""
    source = config.train.init_checkpoint
    if not source or len(config.arguments) != 1:
        raise UserError("--mode=convert needs --init_checkpoint and one argument, the target")
    said = {
        "input_size": config.data.image_size,
        "resize_method": config.data.resize_method,
        "num_classes": config.data.num_classes,
    }
    said = {name: value for name, value in said.items() if value is not None}
    target = config.arguments[0]
    network = conversion.convert(config.model_name, source, target, **{**config.overrides, **said})
    what = f"{network.name}, {network.num_classes} classes" if network else f"all of {source}"
    print(f"{target}: {what}", flush=True)
