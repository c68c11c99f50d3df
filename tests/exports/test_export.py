"""The journey of an export: a run is trained, exported by the command, and used as others would.

A network of seconds' training is not sure of its classes, so that fewer than usual agree.
"""

import base64
import dataclasses
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from helpers.command import call
from helpers.toy import TINY_RUN, tiny_run
from PIL import Image
from sklearn.datasets import load_digits

from efficientnet_tf.exports.litert_file import LiteRTFile
from efficientnet_tf.run.fit import fit

pytestmark = pytest.mark.slow

FORMATS = "saved_model,litert,litert_fp16,litert_int8,litert_int16x8,onnx"
DATA = ("--dataset=digits", "--input_image_size=32", "--num_eval_images=60")

# Prints what a SavedModel says of the pictures in argv[2:], in a process that has nothing else.
SERVE = """
import base64, json, sys
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
found = serve(pictures=tf.constant([base64.b64decode(word) for word in sys.argv[2:]]))
assert not any("efficientnet" in name for name in sys.modules)
print(json.dumps({k: tf.strings.as_string(v).numpy().astype(str).tolist() if v.dtype != tf.string
                  else v.numpy().astype(str).tolist() for k, v in found.items()}))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small Lite network."""
    folder = tmp_path_factory.mktemp("run") / "lite"
    config = tiny_run(folder, 120, moving_average_decay=0.9)
    optimizer = dataclasses.replace(TINY_RUN.optimizer, base_learning_rate=0.1)
    fit(dataclasses.replace(config, model_name="efficientnet-lite0", optimizer=optimizer))
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "digits"
    done = call(
        *("--mode=export", f"--model_dir={run}", f"--export_dir={folder}", *DATA),
        *(f"--export_formats={FORMATS}", "--num_calibration_images=32"),
        "--min_agreement=0.8",
    )
    assert done.returncode == 0, done.stderr
    assert f"exported: {folder}" in done.stdout and "litert_int8" in done.stdout
    return folder


@pytest.fixture(scope="module")
def report(exported):
    return json.loads((exported / "export_report.json").read_text())


def digit(index: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    pixels = (load_digits().images[index] * 15).astype(np.uint8)
    Image.fromarray(pixels).convert("RGB").resize((64, 64)).save(stream, kind)
    return stream.getvalue()


def test_floating_point_is_the_model_and_whole_numbers_nearly(report):
    rows = {row["format"]: row for row in report["formats"]}
    assert list(rows) == FORMATS.split(",")
    assert report["num_pictures"] == 60 and report["num_calibration"] == 32
    for name in ("saved_model", "litert", "onnx"):
        assert rows[name]["compared"]["agreement"] == 1
        assert rows[name]["compared"]["max_difference"] < 1e-5
        assert rows[name]["compared"]["top_1"] == report["top_1"]
    assert rows["litert_fp16"]["compared"]["agreement"] == 1
    for name in ("litert_int8", "litert_int16x8"):
        assert rows[name]["compared"]["agreement"] >= 0.8
        assert rows[name]["layers"] and all(0 <= value < 1 for _, value in rows[name]["layers"])
    assert (
        rows["litert_int16x8"]["compared"]["mean_difference"]
        < (rows["litert_int8"]["compared"]["mean_difference"])
    )
    for row in rows.values():
        speeds = [row[name] for name in ("ms_one_thread", "ms_all_threads", "images_per_second")]
        assert all(speed > 0 for speed in speeds) and row["megabytes"] > 0


def test_the_report_of_accuracy_is_that_of_the_evaluation(run, report):
    """On all 360 pictures it would be the same number; on 60 of them it is near."""
    last = json.loads((run / "eval.jsonl").read_text().splitlines()[-1])
    assert abs(report["top_1"] - last["top_1_accuracy"]) < 0.15


def test_litert_files_hold_builtin_operators_and_the_right_types(exported):
    from ai_edge_litert.interpreter import Interpreter

    for name, dtype in (("model", "float32"), ("model_fp16", "float32"), ("model_int8", "uint8")):
        path = exported / f"{name}.tflite"
        file = LiteRTFile.read(str(path))
        assert not file.foreign_operators() and file.operators()["CONV_2D"] > 5
        interpreter = Interpreter(str(path))
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert source["shape_signature"].tolist() == [-1, 32, 32, 3]
        assert source["dtype"].__name__ == target["dtype"].__name__ == dtype
    assert source["quantization"] == (1.0, 0)  # pixels as they are
    float_types = {"FLOAT32", "DEQUANTIZE"}
    assert not float_types & set(file.operators())  # full integer: nothing is converted inside


def test_labels_and_range_are_in_the_litert_file(exported):
    """As `metadata_schema.fbs` has them: its tables read by place, with flatbuffers alone."""
    for name in ("model", "model_int8"):
        content = (exported / f"{name}.tflite").read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.read("labels.txt").decode().split() == [str(i) for i in range(10)]
        root = metadata_of(content)
        assert content[root.start + 4 : root.start + 8] == b"M001"
        image = root.table().follow(3, 0).follow(2, 0)
        assert image.text(0) == "image"
        options = image.follow(4, 0).follow(1)
        assert options.floats(0) == [0.0] and options.floats(1) == [1.0]
        output = root.table().follow(3, 0).follow(3, 0)
        assert output.follow(6, 0).text(0) == "labels.txt"


def test_a_saved_model_serves_pictures_without_this_package(exported, tmp_path):
    pictures = [digit(0), digit(1, "JPEG"), b"no picture", digit(2)[:60]]
    words = [base64.b64encode(picture).decode() for picture in pictures]
    command = [sys.executable, "-I", "-c", SERVE, str(exported / "saved_model"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["error"] == [
        "",
        "",
        "is not a JPEG, PNG, GIF, BMP or WebP picture",
        "is corrupt or cut short",
    ]
    assert found["classes"][2] == ["-1"] * 5 and found["labels"][2] == [""] * 5
    assert found["labels"][0] == found["classes"][0]  # digits are called by their numbers
    scores = np.array(found["scores"][0], float)
    assert (np.diff(scores) <= 0).all() and 0 < scores[0] <= 1


def test_a_saved_model_says_what_predict_says(exported, run, tmp_path):
    import tensorflow as tf

    (tmp_path / "a.png").write_bytes(digit(7))
    output = tmp_path / "found.json"
    call("--mode=predict", f"--model_dir={run}", f"--output_json={output}", tmp_path / "a.png")
    (expected,) = json.loads(output.read_text())
    serve = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"]
    found = serve(pictures=tf.constant([digit(7)]))
    best = [entry["class"] for entry in expected["predictions"]]
    assert found["classes"][0].numpy().tolist() == best
    probabilities = [entry["probability"] for entry in expected["predictions"]]
    np.testing.assert_allclose(found["scores"][0], probabilities, atol=1e-5)


def test_onnx_has_named_ends_a_free_batch_and_labels(exported):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))
    assert session.get_inputs()[0].shape == ["batch", 32, 32, 3]
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["labels"].split("\n") == [str(i) for i in range(10)]
    for count in (1, 3):
        images = np.zeros((count, 32, 32, 3), np.float32)
        (found,) = session.run(["probabilities"], {"image": images})
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_the_report_is_drawn(exported):
    with Image.open(exported / "export_report.png") as picture:
        assert picture.width >= 640 and len(set(picture.convert("L").get_flattened_data())) > 50


def test_a_second_export_does_not_overwrite_the_first(exported, run):
    before = sorted(path.stat().st_mtime_ns for path in exported.rglob("*"))
    done = call("--mode=export", f"--model_dir={run}", f"--export_dir={exported}")
    assert done.returncode == 1 and "holds another export" in done.stderr
    assert sorted(path.stat().st_mtime_ns for path in exported.rglob("*")) == before


class Table:
    """A table of a flatbuffer at a place of it."""

    def __init__(self, content: bytes, place: int):
        import flatbuffers

        self._table = flatbuffers.table.Table(content, place)
        self._content = content

    def _field(self, place: int) -> int:
        offset = self._table.Offset(4 + 2 * place)
        assert offset, f"no field {place}"
        return offset + self._table.Pos

    def follow(self, place: int, index: int | None = None) -> "Table":
        """The table in a field, or in a place of a vector in a field."""
        field = self._field(place)
        if index is not None:
            field = self._table.Indirect(field) + 4 + 4 * index
        return Table(self._content, self._table.Indirect(field))

    def text(self, place: int) -> str:
        return self._table.String(self._field(place)).decode()

    def floats(self, place: int) -> list[float]:
        start = self._table.Indirect(self._field(place))
        count = int.from_bytes(self._content[start : start + 4], "little")
        return np.frombuffer(self._content, "<f4", count, start + 4).tolist()


class Root:
    """Where a flatbuffer begins inside of a file."""

    def __init__(self, content: bytes, start: int):
        self._content, self.start = content, start

    def table(self) -> Table:
        place = int.from_bytes(self._content[self.start : self.start + 4], "little")
        return Table(self._content, self.start + place)


def metadata_of(content: bytes) -> Root:
    """The buffer that a LiteRT file names TFLITE_METADATA."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    entries = {model.Metadata(i).Name(): model.Metadata(i) for i in range(model.MetadataLength())}
    inside = model.Buffers(entries[b"TFLITE_METADATA"].Buffer()).DataAsNumpy().tobytes()
    return Root(content, content.index(inside))
