"""The journey of an export: a run is trained, exported by the command, and used as others would.

A network of seconds' training is not sure of its classes, so that fewer than usual agree.
"""

import dataclasses
import importlib.util
import io
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import ROOT, call
from helpers.toy import TINY_RUN, tiny_run
from PIL import Image
from sklearn.datasets import load_digits

from efficientnet_tf.exports.litert_file import LiteRTFile
from efficientnet_tf.run.fit import fit

pytestmark = pytest.mark.slow

FORMATS = "saved_model,litert,litert_fp16,litert_int8,litert_int16x8,onnx"
if importlib.util.find_spec("openvino"):  # 180 MB, which no test needs otherwise
    FORMATS += ",openvino"
DATA = ("--dataset=digits", "--input_image_size=32", "--num_eval_images=60")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small Lite network."""
    folder = tmp_path_factory.mktemp("run") / "lite"
    config = tiny_run(folder, 120, moving_average_decay=0.9)
    optimizer = dataclasses.replace(TINY_RUN.optimizer, base_learning_rate=0.1)
    scaling = {"width_coefficient": 0.25, "depth_coefficient": 0.1}  # a block in every stage
    network = {"model_name": "efficientnet-lite0", "overrides": scaling}
    fit(dataclasses.replace(config, **network, optimizer=optimizer))
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
    for name in {"saved_model", "litert", "onnx", "openvino"} & rows.keys():
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


def served(folder):
    """The default signature of a SavedModel; the model must be kept while it is used."""
    model = tf.saved_model.load(str(folder / "saved_model"))
    return model, model.signatures["serving_default"]


def test_a_broken_picture_is_an_error_of_its_own(exported):
    pictures = [digit(0), digit(1, "JPEG"), b"no picture", digit(2)[:60], b""]
    _kept, serve = served(exported)
    found = {name: value.numpy() for name, value in serve(pictures=tf.constant(pictures)).items()}
    assert found["error"].tolist() == [
        b"",
        b"",
        b"is not a JPEG, PNG, GIF, BMP or WebP picture",
        b"is corrupt or cut short",
        b"is empty",
    ]
    assert (found["classes"][2:] == -1).all() and (found["labels"][2:] == b"").all()
    assert (found["probabilities"][2:] == 0).all()
    assert [int(label) for label in found["labels"][0]] == found["classes"][0].tolist()
    scores = found["scores"][:2]
    assert (np.diff(scores) <= 0).all() and (scores[:, 0] > 0).all()


def test_a_saved_model_says_what_predict_says(exported, run, tmp_path):
    (tmp_path / "a.png").write_bytes(digit(7))
    output = tmp_path / "found.json"
    call("--mode=predict", f"--model_dir={run}", f"--output_json={output}", tmp_path / "a.png")
    (expected,) = json.loads(output.read_text())
    _kept, serve = served(exported)
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
        assert picture.width >= 640 and len(np.unique(np.asarray(picture))) > 50


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


DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
PICTURE, *PROGRAMS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=["litert", "onnx", "openvino", "saved_model"])
def test_the_programs_of_the_document(program, exported, tmp_path):
    for package in ("onnxruntime", "openvino"):
        if f"import {package}" in program:
            pytest.importorskip(package, reason=f"{package} is not installed")
    (tmp_path / "export").symlink_to(exported)
    (tmp_path / "picture.py").write_text(PICTURE)
    (tmp_path / "cat.jpg").write_bytes(digit(4, "JPEG"))
    alone = "import sys; assert 'efficientnet_tf' not in sys.modules\n"
    (tmp_path / "program.py").write_text(program + alone)
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    label, score = done.stdout.splitlines()[0].split()
    assert label in "0123456789" and 0 < float(score) <= 1
    if "saved_model" in program:
        assert done.stdout.splitlines()[1] == "is not a JPEG, PNG, GIF, BMP or WebP picture"
