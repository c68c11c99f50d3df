"""The table of published weights, and their way into the cache from a server of our own."""

import contextlib
import dataclasses
import functools
import http.server
import io
import re
import shutil
import tarfile
import threading
from pathlib import Path

import pytest
from helpers.reference import reference_dir
from helpers.shapes import without_values

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.formats.tf1_checkpoint import TF1Checkpoint
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.published import download
from efficientnet_tf.weights.published.archive import extract_checkpoint
from efficientnet_tf.weights.published.table import published_models, published_sets, resolve

CHECKPOINT = reference_dir() / "forward" / "efficientnet-b0"
FILES = ("checkpoint", "model.ckpt.index", "model.ckpt.data-00000-of-00001")
PRESET = resolve("efficientnet-b0", "baseline")


def test_presets():
    assert resolve("efficientnet-b0", "imagenet") == resolve("efficientnet-b0", "autoaugment")
    assert resolve("efficientnet-b8", "imagenet").weights == "advprop"
    assert resolve("efficientnet-l2", "noisy-student-475").input_size == 475
    assert resolve("efficientnet-b3", "advprop").overrides == {
        "input_size": 300,
        "mean_rgb": (127.5, 127.5, 127.5),
        "stddev_rgb": (127.5, 127.5, 127.5),
        "resize_method": "bicubic",
        "num_classes": 1000,
    }
    assert resolve("efficientnet-b7", "randaugment").archive == "randaug/efficientnet-b7-randaug"
    assert resolve("efficientnet-b2", "noisy-student").top_1 == 82.4
    assert PRESET.label_offset == 0
    edge = resolve("efficientnet-edgetpu-M", "imagenet")
    assert (edge.num_classes, edge.label_offset, edge.resize_method) == (1001, 1, "bilinear")
    assert resolve("efficientnet-lite4", "imagenet").input_size == 380


def test_every_published_set_resolves():
    presets = [resolve(m, w) for m in published_models() for w in published_sets(m)]
    v1 = [preset for preset in presets if not preset.model_name.startswith("efficientnetv2-")]
    assert len(v1) == 46 and len(presets) == 46 + 23
    assert len({preset.file for preset in presets}) == len(presets)
    assert all(75 <= preset.top_1 <= 88.4 for preset in v1)
    known = [preset.top_1 for preset in presets if preset.top_1]
    assert len(known) == 46 + 11 and all(75 <= top_1 <= 88.4 for top_1 in known)


# Archives: google/automl's `effnetv2_model.get_model`. Classes, normalisation, size and resizing:
# its `datasets.py`, `preprocessing.py` and `effnetv2_configs.py`.
V2 = {
    ("s", "baseline"): ("s", 83.9, 1000, 128.0, 384, "bilinear"),
    ("m", "imagenet21k"): ("m-21k", None, 21843, 128.0, 224, "bilinear"),
    ("xl", "imagenet21k-ft1k"): ("xl-21k-ft1k", 87.2, 1000, 127.5, 512, "bilinear"),
    ("b3", "baseline"): ("b3", 82.1, 1000, 0.485 * 255, 300, "bicubic"),
    ("b1", "imagenet21k"): ("b1-21k", None, 21843, 128.0, 224, "bilinear"),
    ("b0", "imagenet21k-ft1k"): ("b0-21k-ft1k", None, 1000, 127.5, 224, "bilinear"),
}


@pytest.mark.parametrize("size, weights", V2)
def test_v2(size, weights):
    preset = resolve(f"efficientnetv2-{size}", weights)
    name, top_1, classes, mean, side, resize = V2[size, weights]
    assert (preset.file, preset.top_1) == (f"v2/efficientnetv2-{name}.tgz", top_1)
    assert (preset.num_classes, preset.mean_rgb[0]) == (classes, mean)
    assert (preset.input_size, preset.resize_method) == (side, resize)
    assert preset.label_offset == (0 if classes == 1000 else None)


def test_v2_variables():
    """The layers of V2's three kinds of block as automl's `effnetv2_model.py` names them."""
    norm, se = "tpu_batch_normalization", ["se/conv2d", "se/conv2d_1"]
    expected = {
        "blocks_0": ["conv2d", norm],
        "blocks_1": ["conv2d", "conv2d_1", norm, f"{norm}_1"],
        "blocks_5": ["conv2d", "conv2d_1", "depthwise_conv2d", *se]
        + [norm, f"{norm}_1", f"{norm}_2"],
        "head": ["conv2d", "dense", norm],
        "stem": ["conv2d", norm],
    }
    with without_values():
        model = build_network(model_config("efficientnetv2-b0"))
    layers = {name.rpartition("/")[0] for name in checkpoint_variables(model)}
    for scope, names in expected.items():
        assert sorted(layer for layer in layers if layer.startswith(f"{scope}/")) == sorted(
            f"{scope}/{name}" for name in names
        )


def test_default_of_v2_is_that_of_keras_applications():
    """ImageNet-1k; XL, which keras.applications lacks, has none without ImageNet-21k."""
    for size in ("s", "m", "l", "b0", "b1", "b2", "b3"):
        assert resolve(f"efficientnetv2-{size}", "imagenet").weights == "baseline"
    assert resolve("efficientnetv2-xl", "imagenet").weights == "imagenet21k-ft1k"


def test_only_variants_without_any_are_said_to_have_none():
    for name in ("efficientnet-x-b0", "efficientnet-h-tpu-b5"):
        with pytest.raises(UserError, match=f"ever published for {name}"):
            resolve(name, "imagenet")
    with pytest.raises(UserError, match="-xl; there are: imagenet, imagenet21k-ft1k, imagenet21k$"):
        resolve("efficientnetv2-xl", "baseline")


def test_unknown_set_lists_those_that_exist():
    with pytest.raises(
        UserError, match="for efficientnet-b6; there are: imagenet, autoaugment, adv"
    ):
        resolve("efficientnet-b6", "randaugment")


def pack(path: Path, files: dict[str, Path | tarfile.TarInfo], extra=b"") -> Path:
    """A `.tar.gz` at `path`; a TarInfo in place of a file goes in as it is, without content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            if isinstance(content, Path):
                archive.add(content, name)
            else:
                archive.addfile(content, io.BytesIO(extra))
    return path


def good_files(top="efficientnet-b0/"):
    return {f"{top}{name}": CHECKPOINT / name for name in FILES}


def special(name, kind=tarfile.REGTYPE, link="", size=0):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return {name: member}


class Handler(http.server.SimpleHTTPRequestHandler):
    """A static server that knows Range, breaks off where told, and remembers what was asked."""

    broken_after: int | None = None

    def do_GET(self):
        self.server.requests.append(dict(self.headers))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        body, start = path.read_bytes(), 0
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(match[1]) if self.headers["If-Range"] == self.server.etag else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        limit, self.server.broken_after = self.server.broken_after, None
        with contextlib.suppress(BrokenPipeError):  # a client that refuses the length
            self.wfile.write(body[start:][:limit])
        if self.server.changes:
            path.write_bytes(self.server.changes.pop())
            self.server.etag = '"another"'

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requests, server.broken_after, server.etag, server.changes = [], None, '"one"', []
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.archive = tmp_path / "served" / f"{PRESET.archive}.tar.gz"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, tmp_path, preset=PRESET):
    return download.fetch(preset, cache_dir=str(tmp_path / "cache"), base_url=server.url)


def files_below(path):
    return sorted(str(f.relative_to(path)) for f in path.rglob("*") if f.is_file())


def test_download_once(server, tmp_path):
    pack(server.archive, good_files() | {"efficientnet-b0/x.tflite": CHECKPOINT / "case.json"})
    prefix = fetch(server, tmp_path)
    assert TF1Checkpoint(prefix).has_ema
    assert fetch(server, tmp_path) == prefix
    assert len(server.requests) == 1
    folder = f"{PRESET.archive}/"
    expected = sorted([f"{PRESET.archive}.tar.gz.sha256", *(folder + name for name in FILES)])
    assert files_below(tmp_path / "cache") == expected


def test_v2_archive(server, tmp_path):
    """Its checkpoint is called `model` and its archive `.tgz`."""
    preset = resolve("efficientnetv2-b0", "imagenet21k")
    files = {
        f"efficientnetv2-b0-21k/{name.replace('model.ckpt', 'model')}": CHECKPOINT / name
        for name in (*FILES, "case.json")
    }
    pack(tmp_path / "served" / "v2" / "efficientnetv2-b0-21k.tgz", files)
    prefix = fetch(server, tmp_path, preset)
    assert prefix == str(tmp_path / "cache" / "v2" / "efficientnetv2-b0-21k" / "model")
    assert TF1Checkpoint(prefix).has_ema
    assert fetch(server, tmp_path, preset) == prefix


def test_broken_connection_is_resumed(server, tmp_path):
    pack(server.archive, good_files())
    server.broken_after = 1000
    fetch(server, tmp_path)
    assert [r.get("Range") for r in server.requests] == [None, "bytes=1000-"]


def test_file_that_changes_during_the_download_is_fetched_whole(server, tmp_path):
    content = pack(server.archive, good_files()).read_bytes()
    server.archive.write_bytes(b"\0" * len(content))
    server.broken_after, server.changes = 1000, [content]
    assert TF1Checkpoint(fetch(server, tmp_path)).has_raw


def test_truncated_archive_is_an_error_and_the_next_call_downloads_again(server, tmp_path):
    whole = pack(server.archive, good_files()).read_bytes()
    server.archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="truncated or damaged"):
        fetch(server, tmp_path)
    assert files_below(tmp_path / "cache") == []
    server.archive.write_bytes(whole)
    assert TF1Checkpoint(fetch(server, tmp_path)).has_ema


def test_an_archive_whose_checksum_is_wrong_is_not_kept(server, tmp_path):
    """The checksum of gzip lies behind the end of the tar file."""
    whole = bytearray(pack(server.archive, good_files()).read_bytes())
    whole[-8] ^= 1
    server.archive.write_bytes(whole)
    with pytest.raises(UserError, match="truncated or damaged .*CRC"):
        fetch(server, tmp_path)
    assert files_below(tmp_path / "cache") == []
    whole[-8] ^= 1
    server.archive.write_bytes(whole)
    assert TF1Checkpoint(fetch(server, tmp_path)).has_ema
    assert len(server.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize("length", ["many", "-5", "1e9", "9" * 5000, "\xb2"])
def test_a_length_that_is_none_is_an_error_in_one_line(server, tmp_path, length, monkeypatch):
    pack(server.archive, good_files())
    send = Handler.send_header

    def send_header(self, name, value):
        send(self, name, length if name == "Content-Length" else value)

    monkeypatch.setattr(Handler, "send_header", send_header)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match="cannot download .*Content-Length is") as error:
        fetch(server, tmp_path)
    assert "\n" not in str(error.value) and len(server.requests) == 4
    assert files_below(tmp_path / "cache") == []


def test_missing_archive(server, tmp_path):
    with pytest.raises(UserError, match="ckpts/efficientnet-b0.tar.gz: 404"):
        fetch(server, tmp_path)


@pytest.mark.slow
def test_offline_says_where_to_put_the_file_and_takes_it_from_there(tmp_path, server):
    server.server_close()
    with pytest.raises(UserError) as error:
        fetch(server, tmp_path)
    target = tmp_path / "cache" / f"{PRESET.archive}.tar.gz"
    assert f"{server.url}/{PRESET.archive}.tar.gz" in str(error.value)
    assert str(error.value).endswith(f"put it at {target}")
    pack(target, good_files())
    assert TF1Checkpoint(fetch(server, tmp_path)).has_ema
    assert target.exists()


def test_hash_is_recorded_and_checked_after(server, tmp_path):
    pack(server.archive, good_files())
    fetch(server, tmp_path)
    shutil.rmtree(tmp_path / "cache" / PRESET.archive)
    pack(server.archive, good_files("other/"))
    with pytest.raises(UserError, match="recorded in .*sha256 when it was first used"):
        fetch(server, tmp_path)


def test_known_hash(server, tmp_path):
    pack(server.archive, good_files())
    with pytest.raises(UserError, match="not 00 as published"):
        fetch(server, tmp_path, dataclasses.replace(PRESET, sha256="00"))


MALICIOUS = {
    "parent": (special("efficientnet-b0/../../model.ckpt.index"), "outside"),
    "absolute": (special("/tmp/model.ckpt.index"), "outside"),
    "symlink": (special("efficientnet-b0/model.ckpt.index", tarfile.SYMTYPE, "/etc/passwd"), "lin"),
    "hardlink": (special("efficientnet-b0/model.ckpt.index", tarfile.LNKTYPE, "/etc/pas"), "link"),
    "device": (special("efficientnet-b0/model.ckpt.index", tarfile.CHRTYPE), "device"),
    "fifo": (special("efficientnet-b0/checkpoint", tarfile.FIFOTYPE), "device"),
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_malicious_archive(kind, server, tmp_path):
    members, message = MALICIOUS[kind]
    pack(server.archive, members | {f"b/{name}": CHECKPOINT / name for name in FILES})
    with pytest.raises(UserError, match=f"refused: .*{message}"):
        fetch(server, tmp_path)
    assert files_below(tmp_path / "cache") == []


def test_duplicate_members_are_refused(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", good_files() | good_files("again/"))
    with pytest.raises(UserError, match="damaged"):
        extract_checkpoint(archive, tmp_path / "out", 10**9)


@pytest.mark.parametrize("name", ["model.ckpt.index", "passed-over.bin"])
def test_bomb_stops_at_the_cap(name, tmp_path):
    size = 20_000_000
    archive = pack(tmp_path / "a.tar.gz", special(f"b0/{name}", size=size), extra=b"\0" * size)
    with pytest.raises(UserError, match="unpacks to more"):
        extract_checkpoint(archive, tmp_path / "out", 1_000_000)
    assert files_below(tmp_path) == ["a.tar.gz"]


def test_wrong_members(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", {"b0/case.json": CHECKPOINT / "case.json"})
    with pytest.raises(UserError, match="does not hold one checkpoint"):
        extract_checkpoint(archive, tmp_path / "out", 10**9)


def test_too_large_download_is_not_begun(server, tmp_path):
    pack(server.archive, good_files())
    with pytest.raises(UserError, match="too many"):
        download.download(f"{server.url}/{PRESET.archive}.tar.gz", tmp_path / "x", 1000)
    assert files_below(tmp_path) == [f"served/{PRESET.archive}.tar.gz"]


def test_cap_fits_the_published_format():
    """A training checkpoint of B0 has raw weights, averages and two slots: under 100 MB."""
    assert 80 << 20 < download.max_archive_bytes("efficientnet-b0") < 200 << 20
    # The classifier of ImageNet-21k is larger than the rest of the network.
    classifier = 4 * 4 * (21843 - 1000) * (1280 + 1)
    limits = [download.max_archive_bytes("efficientnetv2-b0", n) for n in (None, 21843)]
    assert limits[1] - limits[0] == classifier


def test_cache_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert download.cache_directory() == tmp_path / "models" / "efficientnet_tf"
    monkeypatch.delenv("KERAS_HOME")
    assert download.cache_directory() == Path.home() / ".keras" / "models" / "efficientnet_tf"
