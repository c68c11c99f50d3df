"""`--quantize_aware` from a network's weights to its int8 file: saved, resumed, evaluated."""

import json

import pytest
from helpers.command import call, last_result

import efficientnet_tf as en
from efficientnet_tf.arch import block_string
from efficientnet_tf.nn.quantization import has_ranges

pytestmark = pytest.mark.slow

BLOCKS = "r1_k3_s11_e1_i32_o16_se0.25 r1_k3_s22_e6_i16_o24_se0.25"
DATA = ("--dataset=digits", "--train_batch_size=16", "--eval_batch_size=60")
NETWORK = (
    *("--model_name=efficientnet-b0", "--width_coefficient=0.25", f"--blocks_args={BLOCKS}"),
    "--input_image_size=32",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("aware")


@pytest.fixture(scope="module")
def weights(folder):
    """A network in floating point."""
    small = {"width_coefficient": 0.25, "blocks": block_string.parse_all(BLOCKS)}
    model = en.build_model("efficientnet-b0", 10, input_size=32, **small)
    model.save_weights(folder / "float.weights.h5")
    return folder / "float.weights.h5"


def train(folder, *more):
    return call(
        *("--mode=train_and_eval", *DATA, *NETWORK, f"--model_dir={folder}/run"),
        *("--iterations_per_loop=2", "--steps_per_eval=2", "--base_learning_rate=0.004"),
        *("--quantize_aware", *more),
    )


def test_what_cannot_be_is_one_line(folder, weights):
    start = f"--init_checkpoint={weights}"
    export = (f"--export_dir={folder}/litert", "--export_formats=litert")
    for done, line in (
        (train(folder), "goes on from a trained network"),
        (train(folder, start, "--use_bfloat16"), "float32, not bfloat16: leave out --use_bfl"),
        (train(folder, start, *export), "exported as saved_model or litert_int8"),
    ):
        assert done.returncode == 1 and line in done.stderr and done.stderr.count("\n") == 1
    assert not (folder / "run").exists()


@pytest.fixture(scope="module")
def run(folder, weights):
    """The folder of a run of two steps, taken up again for two more; and its last result."""
    first = train(folder, f"--init_checkpoint={weights}", "--train_steps=2")
    assert first.returncode == 0, first.stderr
    assert "variables loaded from" in first.stdout and "rounding as int8 does" in first.stdout
    again = train(folder, f"--init_checkpoint={weights}", "--train_steps=4")
    assert "from step 2" in again.stdout, again.stdout
    return folder / "run", last_result(again)


def test_the_folder_knows_what_the_run_is(run):
    evaluated = call("--mode=eval", *DATA, f"--model_dir={run[0]}")
    assert last_result(evaluated) == run[1]


def test_conversion_keeps_the_ranges_or_is_refused(run, folder):
    models = []
    for name in ("aware.keras", "aware.weights.h5"):
        done = call("--mode=convert", f"--init_checkpoint={run[0]}", folder / name)
        assert done.returncode == 0, done.stderr
        models.append(en.build_model("efficientnet-b0", weights=str(folder / name)))
    for one, other in zip(*(model.weights for model in models), strict=True):
        assert (one.numpy() == other.numpy()).all()
    assert has_ranges(models[0])
    done = call("--mode=convert", f"--init_checkpoint={run[0]}", folder / "aware.safetensors")
    assert done.returncode == 1 and "only .keras and .weights.h5" in done.stderr


def test_weights_without_ranges_are_told(folder, weights):
    where = (f"--init_checkpoint={weights}", f"--model_dir={folder}/none")
    done = call("--mode=eval", *DATA, *NETWORK, *where, "--quantize_aware")
    assert done.returncode == 1 and "has not learned the ranges of int8" in done.stderr


def test_its_int8_file_has_the_learned_ranges(run, folder):
    where = ("--mode=export", f"--model_dir={run[0]}", f"--export_dir={folder}/export", *DATA)
    done = call(*where, "--export_formats=litert_int8,onnx")
    assert done.returncode == 1 and "=onnx: a network of --quantize_aware" in done.stderr
    # The logits of four steps' training are all alike, so that the likeliest class may differ.
    done = call(
        *where, "--export_formats=litert_int8", "--num_eval_images=20", "--min_agreement=0.01"
    )
    assert done.returncode == 0, done.stderr
    assert "ranges that were learned in training" in done.stdout
    report = json.loads((folder / "export" / "export_report.json").read_text())
    assert report["num_calibration"] == 0
    (entry,) = report["formats"]
    assert entry["compared"]["mean_difference"] < 1 / 256
    assert len(entry["layers"]) == sum(entry["operators"].values()) - entry["operators"]["QUANTIZE"]
    assert all(0 <= deviation < 1 for _, deviation in entry["layers"])
