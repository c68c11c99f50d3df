"""`--mode=study` through the command line: tables, charts, what is refused, and a kill between."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.command import ROOT, call, command
from PIL import Image

from efficientnet_tf import csv_text
from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.study import charts, drawing, latency
from efficientnet_tf.study.networks import networks_table
from efficientnet_tf.study.published import published_networks

OWN = (
    "--blocks_args=r1_k3_s22_e2_i8_o16_se0.25",
    "--stem_filters=8",
    "--head_filters=16",
    "--input_image_size=32",
)
KINDS = ["baseline", "depth", "width", "resolution", "compound"]


def study(name, folder, *flags):
    result = call("--mode=study", f"--study={name}", f"--model_dir={folder}", *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout


def rows(folder, name):
    return list(csv.DictReader((folder / f"{name}.csv").open()))


def assert_is_chart(path):
    """A picture of a page's width with more than a few colours in it."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert pixels.shape[1] >= 700
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def refusal(*flags):
    result = call("--mode=study", *flags)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.slow
def test_grid_and_single_axis_of_a_network_of_ones_own(tmp_path):
    printed = study("grid", tmp_path, *OWN)
    assert f"chart: {tmp_path}/grid.png" in printed
    found = rows(tmp_path, "grid")
    assert ("1.2", "1.1", "1.15") in {(r["alpha"], r["beta"], r["gamma"]) for r in found}
    study("single_axis", tmp_path, "--study_phi=2", *OWN)
    scaled = rows(tmp_path, "single_axis")
    assert [row["axis"] for row in scaled] == [*KINDS[1:], *KINDS[1:]]
    assert {row["input_size"] for row in scaled[:4]} == {"32"}
    for name in ("grid", "single_axis"):
        assert_is_chart(tmp_path / f"{name}.png")


@pytest.mark.slow
def test_the_family_is_drawn_with_its_rivals(tmp_path):
    study("family", tmp_path)
    found = {(row["name"], row["weights"]): row for row in rows(tmp_path, "family")}
    assert len(found) == len(published_networks())
    assert found["efficientnet-b7", "autoaugment"]["top_1"] == "84.3"
    assert (
        int(found["efficientnet-b7", "autoaugment"]["multiply_adds"])
        == total(VARIANTS["efficientnet-b7"]).multiply_adds
    )
    assert found["GPipe", ""]["multiply_adds"] == ""
    assert_is_chart(tmp_path / "family.png")


@pytest.mark.slow
def test_latency_is_measured_once_in_a_process_of_its_own(tmp_path, monkeypatch):
    printed = study("latency", tmp_path, "--model_name=efficientnet-b0", *OWN)
    (row,) = rows(tmp_path, "latency")
    assert row["failure"] == "" and row["top_1"] == "" and row["device"]
    assert 0 < float(row["fastest"]) <= float(row["milliseconds"]) <= float(row["slowest"])
    assert float(row["memory_mib"]) > 0
    assert "no chart" in printed and not (tmp_path / "latency.png").exists()

    def fail(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(latency, "_run_probe", fail)
    study("latency", tmp_path, "--model_name=efficientnet-b0", *OWN)
    assert rows(tmp_path, "latency") == [row]


@pytest.mark.slow
def test_latency_of_all_networks(tmp_path, monkeypatch):
    """With made-up times: the first run is stopped, one network fails, the second run goes on."""
    asked = []

    def probe(network, seconds):
        asked.append(network.name)
        if len(asked) == 20:
            raise KeyboardInterrupt
        if network.name == "efficientnet-l2" and asked.count(network.name) == 1:
            return {"failure": "killed by signal 9: too little memory?"}
        milliseconds = total(network).multiply_adds / 1e7
        numbers = dict.fromkeys(("milliseconds", "fastest", "slowest"), milliseconds)
        return {**numbers, "memory_mib": milliseconds, "device": "a machine"}

    monkeypatch.setattr(latency, "_run_probe", probe)
    with pytest.raises(KeyboardInterrupt):
        study("latency", tmp_path)
    before = rows(tmp_path, "latency")
    assert len(before) == 19 and before[9]["failure"].startswith("killed")
    study("latency", tmp_path)
    assert len(asked) == 20 + 59 - 18  # the failed network and the interrupted one again
    found = rows(tmp_path, "latency")
    assert {row["model"] for row in found} == set(VARIANTS) and len(found) == 59
    assert_is_chart(tmp_path / "latency.png")
    page = (tmp_path / "networks.md").read_text()
    assert sum(line.startswith("| efficientnet") for line in page.splitlines()) == 59
    front = latency.pareto_front(
        [latency.Measurement("a", 1, 1, 1, top, ms, ms, ms, 1.0, "", None)
         for top, ms in ((70.0, 1.0), (69.0, 2.0), (80.0, 3.0), (80.0, 4.0), (75.0, 0.5))],
        "milliseconds",
    )  # fmt: skip
    assert [(row.milliseconds, row.top_1) for row in front] == [(0.5, 75.0), (3.0, 80.0)]


def test_the_page_of_networks_is_what_the_command_writes():
    """But for the milliseconds, which are another machine's: they are read from the page."""
    page = (ROOT / "docs" / "networks.md").read_text()
    device = page.split("en.inference_function` (")[1].split(");")[0]
    cells = [line.strip("|\n ").split("|") for line in page.splitlines() if "| efficient" in line]
    times = {row[0].strip(): row[6].strip() if len(row) > 6 else "" for row in cells}
    assert list(times) == list(VARIANTS)
    measured = [
        latency.Measurement(*latency.key(VARIANTS[name]), None, ms, ms, ms, None, device, None)
        for name, ms in (
            (name, float(text.replace(",", ""))) for name, text in times.items() if text
        )
    ]
    assert {f"efficientnet-b{number}" for number in range(9)} <= {row.model for row in measured}
    assert all(row.milliseconds > 0 for row in measured)
    assert networks_table(measured) == page
    scaled = latency.Measurement(*latency.key(model_config("efficientnet-b0", input_size=99)),
                                 None, 1.0, 1.0, 1.0, None, device, None)  # fmt: skip
    assert networks_table([*measured, scaled]) == page


@pytest.mark.slow
def test_the_experiment_goes_on_after_a_kill_and_its_networks_can_be_looked_at(tmp_path):
    folder = tmp_path / "study"
    flags = (
        *("--mode=study", f"--model_dir={folder}", "--flagfile=study-experiment", *OWN),
        *("--train_epochs=", "--train_steps=3", "--train_batch_size=16", "--study_phi=1"),
        *("--num_eval_images=50", "--eval_batch_size=50", "--moving_average_decay=0"),
    )
    experiment = (*flags, "--study=experiment", "--study_seeds=1")
    table = folder / "experiment_runs.csv"
    process = subprocess.Popen(
        command(*experiment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    while not table.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = table.read_text()
    done = rows(folder, "experiment_runs")
    assert 1 <= len(done) < 5 and not (folder / "experiment.csv").exists()

    result = call(*experiment)
    assert result.returncode == 0, result.stderr
    assert table.read_text().startswith(before)
    assert [row["axis"] for row in rows(folder, "experiment_runs")] == KINDS
    assert f"experiment run {len(done)}/5" in result.stdout
    assert "experiment run 5/5" in result.stdout
    comparisons = rows(folder, "experiment")
    for run, comparison in zip(rows(folder, "experiment_runs"), comparisons, strict=True):
        network = f"{folder}/runs/digits-{run['axis']}-0"
        last = json.loads(Path(network, "eval.jsonl").read_text().splitlines()[-1])
        assert float(run["top_1"]) == float(comparison["mean"]) == last["top_1_accuracy"]
        assert last["step"] == 3 and comparison["p_value"] == ""
    assert_is_chart(folder / "experiment.png")

    other = call(*experiment, "--train_steps=4")
    assert other.returncode == 1 and "other settings" in other.stderr
    assert [row["axis"] for row in rows(folder, "experiment_runs")] == KINDS

    result = call(*flags, "--study=activation_maps")
    assert result.returncode == 0, result.stderr
    found = rows(folder, "activation_maps")
    assert [row["network"] for row in found] == KINDS * 4
    assert all(0 <= float(row["share"]) <= 1 for row in found)
    assert_is_chart(folder / "activation_maps.png")
    photographs = sorted((ROOT / "tests/data/reference/preprocess").glob("*.jpg"))
    networks = f"--init_checkpoint={folder}/runs/digits-width-0,{folder}/runs/digits-compound-0"
    result = call(*flags, "--study=activation_maps", networks, *photographs)
    assert result.returncode == 0, result.stderr
    assert {row["picture"] for row in rows(folder, "activation_maps")} == set(map(str, photographs))


def test_what_is_refused(tmp_path, monkeypatch):
    assert "--mode=study needs --study: grid, single_axis" in refusal()
    assert "'a.jpg' is no flag" in refusal("--study=grid", "a.jpg")
    assert "did you mean grid" in refusal("--study=gird")
    assert "--blocks_args: block string" in refusal("--study=grid", "--blocks_args=r1_k3")
    flags = ("--study=experiment", "--dataset=digits", f"--model_dir={tmp_path}")
    assert "--flagfile=study-experiment" in refusal(*flags)
    flags = ("--study=activation_maps", "--dataset=digits", f"--model_dir={tmp_path}")
    assert "imagenet is Lite0 to Lite2" in refusal(*flags)
    (tmp_path / "latency.csv").write_text("a,b\n1,2\n")
    flags = ("--study=latency", f"--model_dir={tmp_path}")
    assert "latency.csv is damaged" in refusal(*flags)
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)
    assert "efficientnet-tf[plots]" in refusal("--study=family", f"--model_dir={tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["latency.csv"]


def test_tables_are_read_as_they_were_written():
    rows = [
        latency.Measurement("b0, mine", 224, 5, 6, None, 1.5, 1.0, 2.0, None, "CPU", None),
        latency.Measurement("b1", 240, 5, 6, 79.1, None, None, None, None, "", "killed"),
    ]
    text = csv_text.records_text(rows)
    # An empty device is text, an empty failure none.
    assert csv_text.read_records(text, latency.Measurement) == rows
    for wrong in ("a,b\n1,2\n", text + "1,2\n", text.replace("224", "x")):
        with pytest.raises(ValueError):
            csv_text.read_records(wrong, latency.Measurement)


def test_charts_of_a_scaled_variant_say_so():
    assert latency.published_top_1(model_config("efficientnet-b0")) == 77.1
    assert latency.published_top_1(model_config("efficientnet-b0", input_size=200)) is None
    assert latency.published_top_1(model_config("efficientnet-x-b0")) is None
    # 81.5% was reached at 380 pixels.
    assert latency.published_top_1(model_config("efficientnet-lite4")) is None
    assert charts._short("efficientnetv2-s") == "v2-s"
