"""Everything a run is made of, as frozen dataclasses. Standard library only.

The command line fills them (`run/flags.py`), a library user fills them by hand, and nothing else
reads a flag. A field that is None has not been said: `run/resolve.py` decides it.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The networks halve the resolution five times.
MIN_IMAGE_SIZE = 32
# The network and the loss where neither a flag nor weights name one.
DEFAULT_MODEL = "efficientnet-b0"
DEFAULT_LOSS = "softmax"


class UserError(ValueError):
    """A mistake of the person at the keyboard: one line that names the culprit and the fix.

    The command line prints it without a traceback and exits with its status.
    """

    exit_status = 1


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest names that are."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known[:12])}"
    return UserError(f"unknown {kind} {name!r}; {hint}")


def step_range(text: str | None) -> range:
    """The steps that `10,20` names, counted from 1, both ends among them; none for None.

    Raises:
      UserError: it names none.
    """
    if text is None:
        return range(0)
    ends = text.split(",")
    if len(ends) == 2 and all(end.isdecimal() for end in ends):
        first, last = map(int, ends)
        if 1 <= first <= last:
            return range(first, last + 1)
    raise UserError(f"--profile_steps={text} must be the first and the last step, such as 10,20")


@dataclass(frozen=True)
class BlockSpec:
    """One stage of the network as its block string describes it, before scaling.

    `arch.block_string` converts to and from the original's notation; which explains each token.

    Attributes:
      se_ratio: filters inside squeeze-excite per input filter of the block; None for no SE.
      id_skip: add the input where shapes allow.
      no_depthwise: a 3x3 expansion and no depthwise convolution, no SE (EdgeTPU).
      fused: one convolution in place of expansion and depthwise (Fused-MBConv).
      space_to_depth: 1 halves the resolution for fourfold filters at the stage's start; 2 in the
        stage that returns to plain filters, whose stride it takes over; 0 for neither (X, H).
      activation: of this stage, where it differs from the network's.
      condconv: convolutions mixed from experts for each example.
    """

    kernel_size: int
    num_repeat: int
    input_filters: int
    output_filters: int
    expand_ratio: int
    strides: int
    se_ratio: float | None = None
    id_skip: bool = True
    no_depthwise: bool = False
    fused: bool = False
    space_to_depth: int = 0
    activation: str | None = None
    condconv: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """A network: its stages, its scaling and the input its family was trained with.

    Attributes:
      name: the original's model name, `efficientnet-b0`.
      blocks: the stages, unscaled.
      width_coefficient, depth_coefficient: compound scaling (paper, section 3.3).
      input_size: side in pixels of the square image the published weights expect.
      dropout_rate: fraction of pooled features dropped before the classifier, 0..1.
      survival_prob: probability that the *last* block's branch survives in training; block `i` of
        `N` survives with `1 - (1 - survival_prob) * i / N`. None or 1 switches it off.
      batch_norm_momentum: weight of the old value in the moving statistics.
      num_classes: width of the classifier.
      activation: name of a Keras activation; a stage may have its own.
      depth_divisor, min_depth, min_rounding: scaled filters are rounded to a multiple of the first,
        at least the second and at least this share, 0..1, of what they were.
      stem_filters, head_filters: of the first and the last convolution, scaled by the width.
      fix_head_stem: leave stem, head and the repeats of the first and last stage unscaled (Lite).
      se_coefficient: multiplies every stage's `se_ratio`.
      num_experts: kernels that each convolution of a `condconv` stage mixes.
      padding: `same` in TensorFlow's sense, or `symmetric` for weights trained with PyTorch.
      mean_rgb, stddev_rgb: input normalisation, on the scale 0..255.
      resize_method: `bicubic` or `bilinear`, in TF1's legacy sense.
      quantize_aware: compute as an int8 network does, with batch norm folded into convolutions.
    """

    name: str
    blocks: tuple[BlockSpec, ...]
    width_coefficient: float = 1.0
    depth_coefficient: float = 1.0
    input_size: int = 224
    dropout_rate: float = 0.2
    survival_prob: float | None = 0.8
    batch_norm_momentum: float = 0.99
    batch_norm_epsilon: float = 1e-3
    num_classes: int = 1000
    activation: str = "swish"
    depth_divisor: int = 8
    min_depth: int = 8
    min_rounding: float = 0.9
    stem_filters: int = 32
    head_filters: int = 1280
    fix_head_stem: bool = False
    se_coefficient: float = 1.0
    num_experts: int = 0
    padding: str = "same"
    mean_rgb: tuple[float, float, float] = (0.485 * 255, 0.456 * 255, 0.406 * 255)
    stddev_rgb: tuple[float, float, float] = (0.229 * 255, 0.224 * 255, 0.225 * 255)
    resize_method: str = "bicubic"
    quantize_aware: bool = False

    def replace(self, **changes: object) -> "ModelConfig":
        """A copy with some fields changed; an unknown field is a `UserError`."""
        known = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise unknown_name("model override", name, known)
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class DataConfig:
    """What the network is fed.

    Attributes:
      dataset: `tfrecord`, `folder`, `csv`, `digits`, `idx` (MNIST's format), `synthetic`, or the
        name of a tfds builder. None is `tfrecord` where there is a `data_dir`, else `synthetic`, as
        in the original.
      data_dir: where it lies; None for embedded data.
      image_size: side in pixels of the square image the network sees, at least 32. None for the
        network's own: see `for_network`.
      resize_method: `bicubic` or `bilinear`, TF1's legacy kernels. None for the network's own.
      multi_label: a picture in several class folders of `folder` has several labels. A run with
        `sigmoid` or `focal` loss sets it.
      num_classes: width of the classifier, None for the data's own. One more class than the data
        has means that label 0 is the background.
      train_batch_size, eval_batch_size: examples per step over all replicas.
      num_train_images, num_eval_images: None for the data's own count.
      holdout_shards: evaluate on this many leading training shards instead of the validation ones.
      use_cache: keep the undecoded records in memory after the first epoch.
      min_crop_area: smallest part of the image, 0..1, that the training crop may keep.
      augment_name: None, `autoaugment` or `randaugment`.
      mixup_alpha, cutmix_alpha: Beta(alpha, alpha) of the mixing weight; 0 is off.
      random_erasing: probability of blanking a box of each image.
      max_bad_examples: undecodable records to skip per epoch before it is an error.
      tf_data_service: address of a tf.data service, `local`, or None.
      seed: every shuffle, crop and augmentation is a pure function of (seed, epoch, index).
    """

    dataset: str | None = None
    data_dir: str | None = None
    image_size: int | None = None
    resize_method: str | None = None
    multi_label: bool = False
    num_classes: int | None = None
    train_batch_size: int = 2048
    eval_batch_size: int = 64
    num_train_images: int | None = None
    num_eval_images: int | None = None
    holdout_shards: int | None = None
    use_cache: bool = False
    min_crop_area: float = 0.08
    horizontal_flip: bool = True
    augment_name: str | None = None
    randaug_num_layers: int = 2
    randaug_magnitude: int = 10
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    random_erasing: float = 0.0
    max_bad_examples: int = 0
    tf_data_service: str | None = None
    seed: int = 0

    @property
    def source_name(self) -> str:
        """The data set that `dataset` names, or that its absence means."""
        return self.dataset or ("tfrecord" if self.data_dir else "synthetic")

    def for_network(self, network: ModelConfig) -> "DataConfig":
        """A copy whose image size and resize method are the network's where they were not said."""
        return dataclasses.replace(
            self,
            image_size=self.image_size or network.input_size,
            resize_method=self.resize_method or network.resize_method,
        )


@dataclass(frozen=True)
class OptimizerConfig:
    """The update rule and its learning-rate schedule.

    Attributes:
      optimizer: `rmsprop`, `momentum`, `sgd`, `lars` or `adamw`.
      base_learning_rate: for a batch of 256; scaled linearly to the batch in use.
      lr_schedule: `exponential` (staircase), `cosine`, `constant` or `polynomial`.
      lr_decay_epoch, lr_decay_factor: epochs per stair and its height.
      lr_warmup_epochs: epochs of linear ramp from 0.
      lr_warmup_share: the ramp as a share of the run, 0..1, in place of `lr_warmup_epochs`.
      layer_decay: factor of the rate from one stage to the one below it, 0..1.
      gradient_clip_norm: the largest norm of all gradients together, 0 for any.
      decay, momentum, epsilon: RMSProp's; momentum and LARS use `momentum` too.
      adamw_weight_decay: decoupled from the gradient, over all but batch norm and biases.
    """

    optimizer: str = "rmsprop"
    base_learning_rate: float = 0.016
    lr_schedule: str = "exponential"
    lr_decay_epoch: float = 2.4
    lr_decay_factor: float = 0.97
    lr_warmup_epochs: float = 5.0
    lr_warmup_share: float | None = None
    layer_decay: float = 1.0
    gradient_clip_norm: float = 0.0
    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1e-3
    lars_weight_decay: float = 1e-5
    lars_epsilon: float = 0.0
    adamw_weight_decay: float = 0.01


# Of the moving average: the original's ramp of its decay is (1 + step) / (10 + step).
DEFAULT_SPAN = 1 / 9
# Values of `TrainConfig.remat`.
REMAT = ("none", "blocks", "auto")
# Of `TrainConfig.nan_policy`.
NAN_POLICIES = ("stop", "rollback")


@dataclass(frozen=True)
class TrainConfig:
    """The run around the network: how long, how often, and where the results go.

    Attributes:
      model_dir: the run's folder; None is `runs/<model>-<dataset>` in training, and keeps nothing
        in evaluation.
      train_steps: optimizer steps in total.
      train_epochs: the same in passes over the training images, in place of `train_steps`.
      steps_per_eval: training steps between two evaluations.
      eval_every_epochs: the same in passes, in place of `steps_per_eval`.
      early_stopping_evals: end after so many evaluations in a row without a new best; None for
        the full length.
      grad_accum_steps: parts of a replica's batch that follow each other, to save memory; the
        update is that of the whole batch.
      remat: `blocks` computes the inside of every block again in the backward pass, which saves
        half of the memory or more and costs time; `none`; `auto` for `blocks` where the step would
        not fit into the device's memory otherwise.
      iterations_per_loop: steps inside one call of the device.
      log_step_count_steps: steps between two points in TensorBoard.
      keep_checkpoint_max: newest checkpoints kept.
      keep_checkpoint_every_epochs: of each stretch of so many epochs one checkpoint stays for good,
        the first after its end; None for the newest alone.
      use_async_checkpointing: write checkpoints while training goes on, from a copy of the state in
        the host's memory.
      archive_ckpt: copy the best checkpoint to `archive/`: by top-1, with several labels by mean
        average precision.
      init_checkpoint: what to start from or evaluate: a run, a file of weights, a published set.
      loss: `softmax` (one class an image), `sigmoid` (any number of labels an image) or `focal`
        (`sigmoid` that dwells on what is hard); see `train.losses`. None for that of the weights
        that go on or are evaluated, else `softmax`.
      class_weights: `balanced`, or a JSON or CSV file of a weight for each class; None for none.
      label_smoothing: share of the target spread over all classes, 0..1.
      weight_decay: L2 coefficient over every trainable variable outside batch norm.
      moving_average_decay: EMA decay; 0 switches the average off.
      moving_average_span: the average spans this share of the steps done, 0..1, as long as that
        takes a smaller decay; the original's is a ninth.
      batch_norm_replicas: replicas that normalise together; None is the original's rule.
      batch_norm_batch_size: with LARS, examples that are normalised together.
      nan_policy: what a run does whose loss or weights are no longer numbers: `stop`, or `rollback`
        to the checkpoint before and on with the images in another order, at most three times.
      profile_steps: `10,20` records the 10th to the 20th step for TensorBoard's PROFILE tab.
      lr_range_steps: of the learning-rate range test.
      freeze: what is not trained: `all` (but the classifier), `stem`, `blocks<=N`, or None.
      freeze_bn: batch norm runs on its moving statistics.
    """

    model_dir: str | None = None
    train_steps: int = 218949
    train_epochs: float | None = None
    steps_per_eval: int = 6255
    eval_every_epochs: float | None = None
    early_stopping_evals: int | None = None
    grad_accum_steps: int = 1
    remat: str = "none"
    iterations_per_loop: int = 1251
    log_step_count_steps: int = 64
    keep_checkpoint_max: int = 5
    keep_checkpoint_every_epochs: float | None = None
    use_async_checkpointing: bool = False
    archive_ckpt: bool = True
    init_checkpoint: str | None = None
    loss: str | None = None
    class_weights: str | None = None
    label_smoothing: float = 0.1
    weight_decay: float = 1e-5
    moving_average_decay: float = 0.9999
    moving_average_span: float = DEFAULT_SPAN
    batch_norm_replicas: int | None = None
    batch_norm_batch_size: int = 128
    freeze: str | None = None
    freeze_bn: bool = False
    skip_host_call: bool = False
    nan_policy: str = "stop"
    profile_steps: str | None = None
    lr_range_steps: int = 100
    eval_name: str | None = None
    eval_timeout: int | None = None
    seed: int = 0

    def __post_init__(self):
        self._refuse_both("train_epochs", "train_steps")
        self._refuse_both("eval_every_epochs", "steps_per_eval")
        step_range(self.profile_steps)
        for field_name, known in {"remat": REMAT, "nan_policy": NAN_POLICIES}.items():
            if getattr(self, field_name) not in known:
                raise unknown_name(field_name, getattr(self, field_name), known)

    def _refuse_both(self, in_epochs: str, in_steps: str) -> None:
        epochs, steps = getattr(self, in_epochs), getattr(self, in_steps)
        if epochs is not None and steps != getattr(TrainConfig, in_steps):
            raise UserError(
                f"--{in_epochs}={epochs:g} and --{in_steps}={steps} are both given: leave out one "
                f"(--{in_epochs}= undoes what a flagfile says)"
            )


@dataclass(frozen=True)
class DistributionConfig:
    """Where the run computes.

    Attributes:
      strategy: `default`, `mirrored`, `multi_worker_mirrored`, `tpu`, or None to look at the
        machine: a TPU that is named, several workers, several GPUs, else one device.
      worker_hosts: `host:port,host:port`, the same in all workers; None for those of TF_CONFIG or,
        under `srun`, of SLURM.
      task_index: this worker's place in `worker_hosts`, from 0.
      tpu: name or address of the TPU; `local` on a TPU VM.
      tpu_zone, gcp_project: where a TPU name is looked up.
      use_bfloat16: None for what the device does best (bfloat16 on TPU, float32 elsewhere).
      use_float16: with a loss scale, for GPUs without bfloat16.
      use_xla: compile forward and backward pass of each replica; TPUs do so in any case. For GPUs:
        a CPU is ten times slower with it.
    """

    strategy: str | None = None
    worker_hosts: str | None = None
    task_index: int | None = None
    tpu: str | None = None
    tpu_zone: str | None = None
    gcp_project: str | None = None
    use_bfloat16: bool | None = None
    use_float16: bool = False
    use_xla: bool = False

    def __post_init__(self):
        if self.use_float16 and self.use_bfloat16:
            raise UserError(
                "--use_float16 and --use_bfloat16 are both given: leave out one (--nouse_bfloat16 "
                "undoes what a flagfile says)"
            )
        if self.use_float16 and self.uses_tpu:
            raise UserError("--use_float16 is for GPUs: a TPU computes in bfloat16 without a flag")

    @property
    def uses_tpu(self) -> bool:
        """Whether the run asks for a TPU."""
        return self.strategy == "tpu" or (not self.strategy and bool(self.tpu))


@dataclass(frozen=True)
class ExportConfig:
    """What `export_dir` gets.

    Attributes:
      export_formats: `saved_model,litert,...`, see `exports.formats`.
      calibration_data: a folder of pictures to calibrate whole numbers with; None for training
        pictures of the data set, as evaluation would crop them.
      num_calibration_images: how many of them.
      min_agreement: share of the pictures that a format must agree on with the Keras model; None
        for 0.99 in floating point and 0.95 in whole numbers.
      int16_layers, float_layers: of `litert_mixed`: regular expressions, separated by commas, of
        the layers that are not int8.
    """

    export_formats: str = "saved_model"
    calibration_data: str | None = None
    num_calibration_images: int = 200
    min_agreement: float | None = None
    int16_layers: str | None = None
    float_layers: str | None = None


@dataclass(frozen=True)
class RunConfig:
    """One invocation: of the command line, or of `fit`.

    Attributes:
      mode: `train_and_eval`, `train`, `eval`, `predict`, `convert`, `export`, `summary`,
        `lr_range`, `benchmark`, `study`, `prepare` or `data_service`.
      model_name: as in `available_models()`; None for the variant that the weights are of, or
        `efficientnet-b0`.
      overrides: the fields of `ModelConfig` that were said, `{"dropout_rate": 0.3}`. Image size,
        resize method and number of classes are said in `data`.
      arguments: what follows the flags: pictures to predict, the target of a conversion.
      output_json: where predictions go.
      benchmark: what is measured, some of `train,inference,input`; None for the first two.
      study: which study of scaling, a name of `run.flag_topics.task.STUDIES`.
      study_phi: the compound coefficient to scale by; None for the study's own.
      study_seeds: runs of each network of an experiment; None for five.
      eval_report: folder for a report on what is evaluated; None for none.
      explain: folder for pictures of what speaks for each prediction; None for none.
      export_dir: a new folder for the export at the end of training, or of `export`.
      export: what goes there.
      prepared_dir: folder for the TFRecord shards of a preparation.
      num_shards: `1024,128`, of the training and the evaluation split; None for what fits them.
      role: of this process in a tf.data service, `dispatcher` or `worker`.
      allow_config_change: a run may go on with other settings than it was trained with so far.
      flags_text: the flags as a flagfile, kept beside the results.
    """

    mode: str = "train_and_eval"
    model_name: str | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    distribution: DistributionConfig = DistributionConfig()
    arguments: tuple[str, ...] = ()
    output_json: str | None = None
    benchmark: str | None = None
    study: str | None = None
    study_phi: float | None = None
    study_seeds: int | None = None
    eval_report: str | None = None
    explain: str | None = None
    export_dir: str | None = None
    export: ExportConfig = ExportConfig()
    prepared_dir: str | None = None
    num_shards: str | None = None
    role: str | None = None
    allow_config_change: bool = False
    flags_text: str = ""
