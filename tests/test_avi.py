from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.recording_tools import jpeg, make_frame, make_stream
from udpstream.adapters import avi
from udpstream.adapters.avi import AviSeries, AviWriter
from udpstream.errors import FrameError, RecordingError
from udpstream.frame import Frame
from udpstream.protocol import Codec

SIZE_WH = (64, 48)


def noise(seed: int, size_wh: tuple[int, int] = SIZE_WH) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.size]


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
            for frame in container.decode(video=0)
        ]


def test_jpegs_are_in_the_file_as_they_were(tmp_path: Path) -> None:
    payloads = [jpeg(number) for number in range(5)]
    writer = AviWriter(tmp_path / "a.avi", SIZE_WH, Fraction(30), "mjpeg")
    for slot, payload in enumerate(payloads):
        writer.write(slot, memoryview(payload))
    writer.close()
    assert packets(writer.path) == list(enumerate(payloads))
    assert (writer.frames, writer.slots) == (5, 5)


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(15, 2), Fraction(301, 10), Fraction(1000)])
def test_the_rate_and_the_length_are_in_the_header(tmp_path: Path, rate: Fraction) -> None:
    writer = AviWriter(tmp_path / "a.avi", SIZE_WH, rate, "mjpeg")
    for slot in (0, 1, 5, 9):
        writer.write(slot, jpeg(slot))
    writer.close()
    video = cv2.VideoCapture(str(writer.path))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(float(rate))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert [slot for slot, _ in packets(writer.path)] == [0, 1, 5, 9]
    with av.open(str(writer.path)) as container:
        assert container.duration == pytest.approx(10 / rate * 1_000_000, abs=1)


def test_ffv1_gives_each_pixel_back(tmp_path: Path) -> None:
    size_wh = (63, 47)
    pictures = [noise(seed, size_wh) for seed in range(3)]
    writer = AviWriter(tmp_path / "a.avi", size_wh, Fraction(30), "ffv1")
    for slot, picture in zip((0, 1, 4), pictures, strict=True):
        writer.write(slot, picture.tobytes())
    writer.close()
    assert np.array_equal(decoded(writer.path), pictures)
    assert [slot for slot, _ in packets(writer.path)] == [0, 1, 4]
    video = cv2.VideoCapture(str(writer.path))
    assert all(np.array_equal(video.read()[1], picture) for picture in pictures)


@pytest.mark.parametrize("coding", ["mjpeg", "ffv1"])
def test_it_knows_the_size_of_its_file(tmp_path: Path, coding: avi.Coding) -> None:
    writer = AviWriter(tmp_path / "a.avi", SIZE_WH, Fraction(30), coding)
    for slot in (0, 1, 2, 9, 10):
        writer.write(slot, jpeg(slot) if coding == "mjpeg" else noise(slot).tobytes())
        assert writer.n_bytes == writer.path.stat().st_size
    writer.close()


def test_a_picture_that_no_file_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="65535x65535 cannot be recorded"):
        AviWriter(tmp_path / "a.avi", (65_535, 65_535), Fraction(30), "mjpeg")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        AviWriter(tmp_path / "none" / "a.avi", SIZE_WH, Fraction(30), "mjpeg")


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let files of this process grow to 40 kB and no further."""
    if sys.platform == "win32":
        pytest.skip("Windows has no limit of a file's size")
    import resource

    limit = 40_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # Python ignores SIGXFSZ
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_whole_frames(tmp_path: Path, small_files: int) -> None:
    writer = AviWriter(tmp_path / "a.avi", SIZE_WH, Fraction(30), "mjpeg")

    def fill() -> None:
        for slot in range(100):
            writer.write(slot, jpeg(slot))

    with pytest.raises(RecordingError, match="too large"):
        fill()
    assert 5 < writer.frames < 100
    assert writer.n_bytes == writer.path.stat().st_size < small_files
    assert packets(writer.path) == [(slot, jpeg(slot)) for slot in range(writer.frames)]
    assert len(decoded(writer.path)) == writer.frames


def test_an_index_that_cannot_be_written_costs_no_frame(tmp_path: Path, small_files: int) -> None:
    writer = AviWriter(tmp_path / "a.avi", SIZE_WH, Fraction(30), "mjpeg")
    for slot in range(10):
        writer.write(slot, jpeg(slot))
    room = small_files - writer.n_bytes - 8
    writer.write(10, jpeg(10).ljust(room, b"\0"))
    with pytest.raises(RecordingError, match="too large"):
        writer.close()
    assert len(decoded(writer.path)) == writer.frames == 11


def add_all(series: AviSeries, frames: list[Frame]) -> None:
    for frame in frames:
        series.add(frame, frame.received_at)
        series.release(frame.received_at)
    series.end_file()


def test_a_second_file_for_another_size_or_codec(tmp_path: Path) -> None:
    stream = make_stream()
    kinds = [(SIZE_WH, Codec.JPEG), ((32, 32), Codec.JPEG), ((32, 32), Codec.RAW)]
    frames = [
        make_frame(stream, number, size_wh=size_wh, codec=codec)
        for number, (size_wh, codec) in enumerate(kind for kind in kinds for _ in range(20))
    ]
    series = AviSeries(tmp_path, "ffv1", avi.MAX_FILE_BYTES)
    add_all(series, frames)
    assert [(file.name, file.coding, file.size_wh, file.frames) for file in series.files] == [
        ("output.avi", "mjpeg", SIZE_WH, 20),
        ("output-2.avi", "mjpeg", (32, 32), 20),
        ("output-3.avi", "ffv1", (32, 32), 20),
    ]
    raw = [np.frombuffer(frame.payload, np.uint8).reshape(32, 32, 3) for frame in frames[40:]]
    assert np.array_equal(decoded(tmp_path / "output-3.avi"), raw)


def test_raw_frames_as_mjpeg_are_near_to_the_original(tmp_path: Path) -> None:
    frames = [make_frame(make_stream(), number, codec=Codec.RAW) for number in range(5)]
    series = AviSeries(tmp_path, "mjpeg", avi.MAX_FILE_BYTES)
    add_all(series, frames)
    pictures = decoded(tmp_path / "output.avi")
    assert len(pictures) == 5
    for picture, frame in zip(pictures, frames, strict=True):
        assert np.abs(picture.astype(int) - frame.image).mean() < 2


def test_a_full_file_goes_on_in_the_next_without_losing_time(tmp_path: Path) -> None:
    frames = [make_frame(make_stream(), number) for number in range(300) if number % 10]
    series = AviSeries(tmp_path, "mjpeg", 100_000)
    add_all(series, frames)
    assert len(series.files) > 2
    assert sum(file.frames for file in series.files) == len(frames)
    assert sum(file.slots for file in series.files) == pytest.approx(299, abs=len(series.files))
    for file in series.files:
        assert (tmp_path / file.name).stat().st_size < 100_000 + 16 * file.slots + 100
    assert [content for file in series.files for _, content in packets(tmp_path / file.name)] == [
        bytes(frame.payload) for frame in frames
    ]


def test_a_gap_that_the_muxer_refuses_begins_another_file(tmp_path: Path) -> None:
    stream = make_stream()
    frames = [make_frame(stream, number) for number in range(30)]
    frames += [make_frame(stream, number) for number in range(70_000, 70_030)]
    series = AviSeries(tmp_path, "mjpeg", avi.MAX_FILE_BYTES)
    add_all(series, frames)
    assert [(file.frames, file.slots) for file in series.files] == [(30, 30), (30, 30)]


def test_files_are_bounded_in_slots_and_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avi, "MAX_FILE_SLOTS", 20)
    monkeypatch.setattr(avi, "MAX_FILES", 2)
    series = AviSeries(tmp_path, "mjpeg", avi.MAX_FILE_BYTES)
    with pytest.raises(RecordingError, match="2 files are full"):
        add_all(series, [make_frame(make_stream(), number) for number in range(60)])
    assert [file.slots for file in series.files] == [20, 20]


@pytest.mark.parametrize(
    "payload", [b"not a JPEG", b"", b"\xff\xd8\xff", jpeg(0, (32, 32)), jpeg(0)[:20]]
)
def test_what_is_not_the_picture_announced_is_counted(tmp_path: Path, payload: bytes) -> None:
    frames = [make_frame(make_stream(), number) for number in range(10)]
    frames[4] = make_frame(make_stream(), 4, payload=payload)
    series = AviSeries(tmp_path, "mjpeg", avi.MAX_FILE_BYTES)
    add_all(series, frames)
    assert series.bad_pictures == 1
    assert [slot for slot, _ in packets(tmp_path / "output.avi")] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_hostile_size_costs_only_its_own_frame(tmp_path: Path) -> None:
    huge = bytearray(jpeg(0))
    at = huge.index(b"\xff\xc0")
    huge[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    frames = [make_frame(make_stream(), number) for number in range(10)]
    frames[4] = make_frame(make_stream(), 4, payload=bytes(huge), size_wh=(65_535, 65_535))
    series = AviSeries(tmp_path, "mjpeg", avi.MAX_FILE_BYTES)
    add_all(series, frames)
    assert series.bad_pictures == 1
    assert sum(file.frames for file in series.files) == 9
