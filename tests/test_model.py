from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from udpstream.adapters import model
from udpstream.errors import PoseError

WHEEL = "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl"
DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
LANDMARKS = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of the test's own, and no index but a folder, which is empty."""
    monkeypatch.delenv(model.MODEL_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()


@pytest.fixture
def no_mediapipe_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "require_mediapipe", lambda: None)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


# Which model


def test_an_option_comes_before_the_variable_and_that_before_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert model.present_model() is None
    cached, by_variable, by_option = model.cached_model(), tmp_path / "v.task", tmp_path / "o.task"
    cached.parent.mkdir(parents=True)
    for path in (cached, by_variable, by_option):
        path.write_bytes(b"a model")
    assert model.find_model() == cached
    monkeypatch.setenv(model.MODEL_VARIABLE, str(by_variable))
    assert model.find_model() == by_variable
    assert model.find_model(by_option) == by_option


def test_a_model_that_is_named_but_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(PoseError, match=r"--model names .*none\.task, which is no file"):
        model.find_model(tmp_path / "none.task")
    monkeypatch.setenv(model.MODEL_VARIABLE, str(tmp_path))
    with pytest.raises(PoseError, match="UDPSTREAM_MODEL names"):
        model.find_model()


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/var/caches"}, "/var/caches/udpstream"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/ada/.cache/udpstream"),
        ("linux", {}, "/home/ada/.cache/udpstream"),
        ("darwin", {}, "/home/ada/Library/Caches/udpstream"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/udpstream/Cache"),
        ("win32", {}, "/home/ada/AppData/Local/udpstream/Cache"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the paths are POSIX paths")
def test_the_cache_is_where_the_platform_wants_it(
    platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert model.cached_model().parent == Path(folder)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(PoseError, match="no home folder"):
        model.find_model()


# Fetching it


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_without_a_network_it_says_what_to_do() -> None:
    with pytest.raises(PoseError) as caught:
        model.find_model()
    message = str(caught.value)
    assert "mediapipe==0.10.21" in message
    assert "'udpstream model' on a machine that has one" in message
    assert "\n" not in message
    assert not files_in(model.cached_model().parent)


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_another_wheel_of_that_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "index" / WHEEL, "w") as wheel:
        wheel.writestr("mediapipe-0.10.21.dist-info/METADATA", "Name: mediapipe\n")
        wheel.writestr(DETECTOR, b"something else")
        wheel.writestr(LANDMARKS, b"something else")
    with pytest.raises(PoseError, match=r"(?i)hashes"):
        model.find_model()
    assert not files_in(model.cached_model().parent)


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_fetching_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    begun_s = time.monotonic()
    with pytest.raises(PoseError, match="was stopped"):
        model.find_model(stop=stop)
    assert time.monotonic() - begun_s < 30
    assert not files_in(model.cached_model().parent)


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(PoseError, match=r"cannot be kept in .*: make room there"):
        model.find_model()


def test_without_mediapipe_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(PoseError, match=r"pip install 'udpstream\[pose\]'"):
        model.find_model()
    assert not model.cached_model().parent.exists()


def test_pip_is_found_in_environments_that_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    without = {"pip"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in without else find_spec(name)
    )
    if list(Path(os.__file__).parent.glob("ensurepip/_bundled/pip-*.whl")):
        assert Path(model._pip()[1]).parent.is_file()  # a folder in a wheel, which Python can run
    without.add("ensurepip")
    with pytest.raises(PoseError, match="pip is not installed"):
        model._pip()


def fake_fetch(monkeypatch: pytest.MonkeyPatch, barrier: threading.Barrier | None = None) -> None:
    """Have "fetched" a wheel, and a bundle built of it in many small steps."""

    def download(folder: Path, progress: model.Progress, stop: threading.Event) -> Path:
        progress(model.FETCH_BYTES, model.FETCH_BYTES)
        return folder / WHEEL

    def build(wheel: Path, bundle: Path) -> None:
        with bundle.open("wb", buffering=0) as file:
            for _ in range(100):
                file.write(b"a part ")
        if barrier is not None:
            barrier.wait(30)

    monkeypatch.setattr(model, "_download", download)
    monkeypatch.setattr(model, "build_bundle", build)


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_two_at_once_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_fetch(monkeypatch, threading.Barrier(2))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(model.find_model())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    path = model.cached_model()
    assert found == [path, path]
    assert path.read_bytes() == b"a part " * 100
    assert files_in(path.parent) == [path.name]


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_a_model_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_fetch(monkeypatch)
    told: list[tuple[int, int]] = []
    for _ in range(2):
        model.find_model(progress=lambda *done: told.append(done))
    assert told == [(model.FETCH_BYTES, model.FETCH_BYTES)]


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_what_was_left_by_a_fetch_that_was_killed_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_fetch(monkeypatch)
    path = model.cached_model()
    old, present = path.parent / "fetching-old", path.parent / "fetching-now"
    for folder in (old, present):
        folder.mkdir(parents=True)
        (folder / "half.whl").write_bytes(b"half")
    os.utime(old, (0, 0))
    model.find_model()
    assert files_in(path.parent) == ["fetching-now", "half.whl", path.name]


# Building it


def small_network() -> bytes:
    """A `.tflite` file with one input and two outputs, and nothing else."""
    flatbuffers = pytest.importorskip("flatbuffers", reason="comes with MediaPipe")
    tflite = pytest.importorskip("mediapipe.tasks.metadata.schema_py_generated")
    graph = tflite.SubGraphT()
    graph.tensors = [tflite.TensorT() for _ in range(3)]
    graph.inputs, graph.outputs = [0], [1, 2]
    network = tflite.ModelT()
    network.version, network.subgraphs, network.buffers = 3, [graph], [tflite.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(network.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (DETECTOR, LANDMARKS):
            archive.writestr(name, small_network())
    return path


def test_a_bundle_tells_how_each_picture_is_normalised(wheel: Path, tmp_path: Path) -> None:
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    bundle = tmp_path / "pose.task"
    model.build_bundle(wheel, bundle)
    told = {}
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            network = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(archive.read(entry), 0))
            assert network.metadata[0].name == b"TFLITE_METADATA"
            described = bytes(network.buffers[network.metadata[0].buffer].data)
            assert described[4:8] == b"M001"
            graph = metadata.ModelMetadataT.InitFromObj(
                metadata.ModelMetadata.GetRootAs(described, 0)
            ).subgraphMetadata[0]
            assert len(graph.outputTensorMetadata) == 2
            step = graph.inputTensorMetadata[0].processUnits[0].options
            told[entry.filename] = (list(step.mean), list(step.std))
    assert told == {
        "pose_detector.tflite": ([127.5], [127.5]),
        "pose_landmarks_detector.tflite": ([0.0], [255.0]),
    }


def test_networks_are_aligned_so_that_they_can_be_used_in_place(
    wheel: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "pose.task"
    model.build_bundle(wheel, bundle)
    content = bundle.read_bytes()
    starts = [at - 4 for at in range(len(content)) if content.startswith(b"TFL3", at)]
    assert len(starts) == 2
    assert all(start % 64 == 0 for start in starts)


def test_the_same_wheel_gives_the_same_bundle(wheel: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        model.build_bundle(wheel, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.usefixtures("no_mediapipe_needed")
def test_a_wheel_without_the_networks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr(DETECTOR, b"")
    (tmp_path / "text.whl").write_text("not a wheel")
    for name in ("other.whl", "text.whl"):
        with pytest.raises(PoseError, match=f"{name} does not hold the pose model"):
            model.build_bundle(tmp_path / name, tmp_path / "pose.task")
