"""Names that are no flags here: which flag a user of another program means by them."""

from collections.abc import Iterable

from efficientnet_tf.config import UserError, unknown_name
from efficientnet_tf.run.flag_table import ALL_FLAGS

# A flag, and the words by which Keras, timm, torchvision and others call it.
_OTHER_WORDS = {
    "augment_name": "augment augmentation auto_augment aa",
    "base_learning_rate": "lr learning_rate base_lr",
    "cutmix_alpha": "cutmix",
    "data_dir": "data data_path",
    "distribution_strategy": "strategy gpus",
    "dropout_rate": "dropout drop",
    "early_stopping_evals": "patience early_stopping",
    "grad_accum_steps": "accum accum_iter gradient_accumulation_steps",
    "gradient_clip_norm": "clip_grad clip_norm grad_clip clip_grad_norm",
    "init_checkpoint": "weights pretrained checkpoint ckpt checkpoint_path",
    "input_image_size": "image_size input_size img_size size resolution",
    "lr_schedule": "scheduler sched schedule",
    "lr_warmup_epochs": "warmup warmup_epochs",
    "mixup_alpha": "mixup",
    "model_dir": "output output_dir logdir workdir resume",
    "model_name": "model arch network",
    "moving_average_decay": "ema ema_decay model_ema_decay",
    "num_label_classes": "num_classes classes",
    "optimizer": "opt",
    "random_erasing": "reprob random_erase",
    "survival_prob": "drop_path drop_connect drop_connect_rate",
    "train_batch_size": "batch_size batch",
    "train_epochs": "epochs num_epochs",
    "train_steps": "steps num_steps max_steps",
    "use_bfloat16": "bfloat16 bf16 amp mixed_precision",
    "use_float16": "float16 fp16 half loss_scale",
    "use_xla": "xla jit jit_compile compile",
}
_MEANT = {word: flag for flag, words in _OTHER_WORDS.items() for word in words.split()}


def unknown_flag(name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is no flag: the flag that is meant, or the nearest names."""
    if name in _MEANT:
        flag = ALL_FLAGS[_MEANT[name]]
        return UserError(f"unknown flag --{name}; use --{flag.name}: {flag.help}")
    return unknown_name("flag", f"--{name}", (f"--{flag}" for flag in known))
