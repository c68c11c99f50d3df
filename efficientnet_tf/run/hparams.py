"""What a run was told and what was decided, as TensorBoard's HPARAMS tab compares runs."""

from typing import Any

from efficientnet_tf.config import ModelConfig, RunConfig
from efficientnet_tf.run.flag_row import Flag
from efficientnet_tf.run.flag_table import ALL_FLAGS, TOPICS

# Where a run computes and writes, and what is done with it, make no difference to its results.
_WITHOUT_INFLUENCE = {
    *("mode", "study", "study_phi", "study_seeds"),
    *(flag.name for t in ("Devices", "Output") for flag in TOPICS[t]),
}


def hparams(config: RunConfig, network: ModelConfig) -> dict[str, bool | int | float | str]:
    """The values of the flags by name, said or not: TensorBoard compares only what each run has.

    Args:
      config: with everything decided, as `network`; see `resolve`.
    """
    values = {}
    for name, flag in ALL_FLAGS.items():
        if flag.fields and name not in _WITHOUT_INFLUENCE:
            value = _value(flag, config, network)
            values[name] = "" if value is None and flag.kind is str else value
    return {name: value for name, value in values.items() if value is not None}


def _value(flag: Flag, config: RunConfig, network: ModelConfig) -> Any:
    section, field = flag.fields[0]
    holders = {"run": config, "overrides": network}
    value = getattr(holders.get(section) or getattr(config, section), field)
    if flag.writes is None:
        return value
    try:
        return flag.writes(value)
    except ValueError:  # set from Python, where more can be said
        return str(value)
