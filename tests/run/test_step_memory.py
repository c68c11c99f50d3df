"""What a step needs, told before it is tried: against what was measured, and in a run's words."""

import dataclasses
import json

import pytest
import tensorflow as tf
from helpers.command import ROOT, TINY, call
from helpers.fake_tpu import tpu_of
from helpers.toy import tiny_run

import efficientnet_tf as en
from efficientnet_tf import installation
from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import DataConfig, DistributionConfig, RunConfig, TrainConfig, UserError
from efficientnet_tf.run import step_memory
from efficientnet_tf.run.training import prepare_training
from efficientnet_tf.train.distribute import choose_strategy

GIB = 2**30
COMPILED = ROOT / "benchmarks" / "tpu_compile.jsonl"


def estimate(name, batch, dtype="float32", replicas=None, use_xla=False, **train):
    """Of a network of the family at its own size; `replicas` of a TPU, else on this machine."""
    network = model_config(name)
    config = RunConfig(
        data=DataConfig(image_size=network.input_size, train_batch_size=batch),
        train=TrainConfig(**train),
        distribution=DistributionConfig(use_xla=use_xla),
    )
    parameters = [tf.zeros([total(network).trainable])] * 5  # weights, average, slots, gradients
    if not replicas:
        strategy = tf.distribute.get_strategy()
        return step_memory.step_memory(config, network, strategy, dtype, parameters)
    with tpu_of(replicas):
        strategy = choose_strategy(DistributionConfig(strategy="tpu"))
        return step_memory.step_memory(config, network, strategy, dtype, parameters)


# With the compiler's least effort they need up to twice what they would otherwise (docs/tpu.md).
LARGE = ("efficientnet-b5", "efficientnet-b7")


def compiled():
    lines = map(json.loads, COMPILED.read_text().splitlines())
    return [
        line
        for line in lines
        if line["fits"] and not (line.get("effort", 0.0) < 0 and line["model"] in LARGE)
    ]


@pytest.mark.parametrize(
    "line", compiled(), ids=lambda line: "{model}-{batch}-{remat}-{chip}".format(**line)
)
def test_on_tpus_it_is_what_the_compiler_says(line):
    memory = estimate(line["model"], line["batch"], "bfloat16", replicas=1, remat=line["remat"])
    near = pytest.approx(line["memory_gib"] * GIB, rel=0.25, abs=0.5 * GIB)
    assert memory._need(memory.remat) == near


# Growth of the largest resident size in two steps, GiB, with two threads.
ON_A_CPU = [
    ("efficientnet-b0", 16, "none", 1.70),
    ("efficientnet-b0", 32, "none", 3.12),
    ("efficientnet-b0", 32, "blocks", 1.45),
    ("efficientnet-lite0", 32, "none", 1.95),
    ("efficientnet-b3", 16, "none", 5.53),
    ("efficientnet-b3", 16, "blocks", 1.99),
    ("efficientnet-b7", 2, "none", 9.06),
    ("efficientnet-b7", 2, "blocks", 2.49),
    ("efficientnetv2-b0", 32, "none", 2.16),
]


@pytest.mark.parametrize(("name", "batch", "remat", "gib"), ON_A_CPU)
def test_on_a_cpu_it_is_what_was_measured(name, batch, remat, gib):
    memory = estimate(name, batch, remat=remat)
    activations = memory._need(memory.remat) - memory.fixed
    assert activations == pytest.approx(gib * GIB, rel=0.25)


def with_memory(memory, gib):
    return dataclasses.replace(memory, available=gib * GIB)


def test_the_default_batch_of_b5_does_not_fit_a_v3_8_and_what_does_is_named():
    memory = estimate("efficientnet-b5", 2048, "bfloat16", replicas=8)
    assert memory.available == 16 * GIB and not memory.fits
    assert str(memory).startswith("a step of 256 images a replica needs about 5")
    assert memory.advice() == "--train_batch_size=512"
    assert estimate("efficientnet-b5", 512, "bfloat16", replicas=8).fits


def test_recomputing_is_named_where_a_larger_batch_fits_with_it():
    memory = estimate("efficientnet-b7", 2048, "bfloat16", replicas=8)
    assert memory.advice() == "--train_batch_size=128 or --train_batch_size=256 --remat=blocks"
    for ways in ({"batch": 128}, {"batch": 256, "remat": "blocks"}):
        assert estimate("efficientnet-b7", dtype="bfloat16", replicas=8, **ways).fits


def test_recomputing_is_not_named_where_a_larger_batch_does_not_fit_with_it():
    """It names what fits: nothing, where recomputing blocks would need more."""
    memory = with_memory(estimate("efficientnet-b0", 64), 1)
    worse = dataclasses.replace(memory, image_with_remat=2 * memory.available)
    assert worse.advice() == memory.advice().partition(" or ")[0] != ""


RECIPES = sorted(path.stem for path in (ROOT / "flags").glob("imagenet-*-tpu-v3-*.flags"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_for_tpus_fit_and_are_of_the_original_length(name):
    config, cores = en.recipe(name), int(name.rpartition("-")[2])
    batch, train = config.data.train_batch_size, config.train
    memory = estimate(config.model_name, batch, "bfloat16", replicas=cores, remat=train.remat)
    assert memory.fits and memory.available == 16 * GIB
    assert config.distribution.uses_tpu and config.data.eval_batch_size % cores == 0
    assert (
        train.train_steps * batch == 218949 * 2048 and train.steps_per_eval * batch == 6255 * 2048
    )


@pytest.mark.parametrize(("name", "gpus", "gib"), [("b0", 8, 5), ("b0", 1, 10), ("b4", 8, 15)])
def test_the_recipes_for_gpus_say_what_they_need(name, gpus, gib):
    config = en.recipe(f"imagenet-{name}-{'8' * (gpus > 1)}gpu")
    batch, train = config.data.train_batch_size, config.train
    memory = estimate(config.model_name, batch // gpus, "bfloat16", use_xla=True)
    assert config.distribution.use_xla and config.distribution.use_bfloat16
    assert memory._need(False) == pytest.approx(gib * GIB, rel=0.1)
    assert (
        train.train_steps * batch == 218949 * 2048 and train.steps_per_eval * batch == 6255 * 2048
    )


def test_there_is_a_recipe_for_every_network_of_the_paper():
    networks = [f"imagenet-b{i}-tpu-{kind}" for i in range(8) for kind in ("v3-32", "v3-8")]
    assert networks == RECIPES


def test_auto_computes_blocks_again_where_it_must():
    memory = estimate("efficientnet-b0", 64, remat="auto")
    assert not with_memory(memory, 8).remat and with_memory(memory, 8).fits
    assert with_memory(memory, 4).remat and with_memory(memory, 4).fits
    assert not with_memory(memory, 1).fits
    unknown = dataclasses.replace(memory, available=None)
    assert unknown.fits and not unknown.remat


def test_accumulation_divides_what_is_needed_at_a_time():
    whole, parts = (estimate("efficientnet-b0", 64, grad_accum_steps=n) for n in (1, 4))
    assert parts._need(False) - parts.fixed == (whole._need(False) - whole.fixed) // 4


def test_a_frozen_network_keeps_little():
    whole, frozen = (estimate("efficientnet-b0", 64, freeze=freeze) for freeze in (None, "all"))
    assert frozen._need(False) < whole._need(False) / 2


def test_nothing_fits_where_one_image_does_not():
    memory = with_memory(estimate("efficientnet-b7", 1), 1)
    assert not memory.fits and memory.advice() == "a smaller --input_image_size"


@pytest.mark.parametrize(("kind", "gib"), [("v2-8", 8), ("v4-8", 32), ("v5litepod-8", 16)])
def test_the_kind_of_tpu_says_how_much_there_is(monkeypatch, kind, gib):
    monkeypatch.setattr(
        installation, "tpu_kind", lambda: kind.partition("-")[0].replace("litepod", "e")
    )
    assert estimate("efficientnet-b0", 8, replicas=8).available == gib * GIB


@pytest.mark.slow
def test_a_run_that_will_not_fit_is_warned_of(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(step_memory, "_free_memory", lambda _: 2**20)
    prepare_training(tiny_run(tmp_path, train_steps=2))
    (warning,) = capfd.readouterr().err.splitlines()
    assert warning.startswith("warning: a step of 16 images a replica needs about 0.0 GiB of 0.0")
    assert "(an estimate)" in warning


@pytest.mark.slow
def test_out_of_memory_is_one_line(tmp_path, monkeypatch):
    """TensorFlow's own error, of a tensor that no machine holds."""
    training = prepare_training(tiny_run(tmp_path, train_steps=2), verbose=False)
    monkeypatch.setattr(training.trainer.loop, "run", lambda _: tf.zeros([2**20, 2**25]))
    with pytest.raises(UserError, match="^out of memory: a step of 16 .* --remat=blocks needs"):
        list(training.segments())


@pytest.mark.slow
def test_auto_says_what_it_chose(tmp_path):
    result = call(*TINY, "--train_steps=2", "--remat=auto", f"--model_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("--remat=auto"))
    assert "a step of 16 images a replica needs about" in line
