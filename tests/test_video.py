from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.pose_tools import Image, write_video
from tests.recording_tools import jpeg
from udpstream.adapters.avi import AviWriter
from udpstream.adapters.codec import decode
from udpstream.adapters.video import VideoReader, samples
from udpstream.errors import SourceError
from udpstream.protocol import Codec


def times_of(path: Path) -> list[float]:
    with VideoReader(path) as video:
        return [picture.time_s for picture in video.pictures()]


def samples_of(path: Path, fps: float) -> list[tuple[float, int, bool]]:
    """Time, grey value to the nearest ten, and whether it is the one before."""
    with VideoReader(path) as video:
        return [
            (round(each.time_s, 3), 10 * round(float(each.image().mean()) / 10), each.again)
            for each in samples(video, fps)
        ]


def test_each_picture_has_the_time_that_the_file_tells(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mkv"
    times_s = [2.0, 2.033, 2.2, 2.21, 4.7]
    write_video(path, times_s)
    assert times_of(path) == pytest.approx([0, 0.033, 0.2, 0.21, 2.7], abs=1e-6)


@pytest.mark.parametrize("rate", [10, 24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_as_many_samples_as_the_length_asks_for(rate: float, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"even.{suffix}"
    length_s = 5.1
    write_video(path, np.arange(round(length_s * rate)) / rate)
    times_s = [time_s for time_s, _, _ in samples_of(path, 10)]
    assert len(times_s) in {50, 51, 52}
    assert np.abs(np.array(times_s) - np.arange(len(times_s)) / 10).max() < 1 / rate + 1e-3


def test_a_sample_is_what_is_on_show_and_has_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mkv"
    write_video(path, [0, 0.08, 0.12, 0.27, 0.62], greys=[20, 60, 100, 140, 200])
    assert samples_of(path, 10)[:7] == [
        (0.0, 20, False),
        (0.08, 60, False),
        (0.12, 100, False),
        (0.27, 140, False),
        (0.4, 140, True),
        (0.5, 140, True),
        (0.6, 140, True),
    ]


@pytest.mark.parametrize("fps", [3.0, 24.0, 100.0, 1000.0])
def test_times_of_samples_rise(fps: float, tmp_path: Path) -> None:
    path = tmp_path / "uneven.mkv"
    rng = np.random.default_rng(3)
    write_video(path, np.cumsum(rng.uniform(0.002, 0.15, 40)))
    times_s = [time_s for time_s, _, _ in samples_of(path, fps)]
    assert all(later > earlier for earlier, later in pairwise(times_s))


def test_a_recording_gives_the_pictures_of_the_live_path(tmp_path: Path) -> None:
    payloads = {0: jpeg(0), 1: jpeg(1), 4: jpeg(4)}
    writer = AviWriter(tmp_path / "output.avi", (64, 48), Fraction(10), "mjpeg")
    for slot, payload in payloads.items():
        writer.write(slot, payload)
    writer.close()
    with VideoReader(tmp_path / "output.avi") as video:
        pictures = list(video.pictures())
    assert [picture.time_s for picture in pictures] == pytest.approx([0, 0.1, 0.4])
    for picture, payload in zip(pictures, payloads.values(), strict=True):
        assert np.array_equal(picture.image(), decode(Codec.JPEG, payload, (64, 48)))


def marked_picture() -> Image:
    """Blue but for its upper left quarter, which is white."""
    image_bgr = np.zeros((48, 64, 3), np.uint8)
    image_bgr[..., 0] = 200
    image_bgr[:24, :32] = 255
    return image_bgr


@pytest.mark.parametrize(
    ("matrix", "size_wh", "corner"),
    [  # of a clockwise turn by 90, 180 and 270 degrees, and where the mark is then
        ((0, 1, -1, 0), (48, 64), "upper right"),
        ((-1, 0, 0, -1), (64, 48), "lower right"),
        ((0, -1, 1, 0), (48, 64), "lower left"),
    ],
)
def test_a_video_that_was_taken_on_its_side_is_upright(
    matrix: tuple[int, int, int, int], size_wh: tuple[int, int], corner: str, tmp_path: Path
) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, [0, 0.1, 0.2], image=marked_picture())
    a, b, c, d = (value << 16 for value in matrix)
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    header, track, rest = path.read_bytes().partition(b"tkhd")
    assert upright in rest[:92]
    path.write_bytes(header + track + rest.replace(upright, turned, 1))
    with VideoReader(path) as video:
        image_bgr = next(video.pictures()).image()
    assert (image_bgr.shape[1], image_bgr.shape[0]) == size_wh
    white = image_bgr[..., 2] > 128
    y, x = (where.mean() / side for where, side in zip(np.nonzero(white), white.shape, strict=True))
    assert f"{'upper' if y < 0.5 else 'lower'} {'left' if x < 0.5 else 'right'}" == corner


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    write_video(path, [0, 0.1], pixel_aspect=Fraction(3, 2))
    with VideoReader(path) as video:
        assert next(video.pictures()).image().shape == (48, 96, 3)


def test_a_file_without_an_end_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    rng = np.random.default_rng(5)
    write_video(path, np.arange(60) / 30, image=rng.integers(0, 255, (48, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(times_of(path)) < 60


def write_tone(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_files_that_are_no_video(tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav")
    for name, content in (("empty.mp4", b""), ("text.mp4", b"hello\n" * 99), ("a.txt", b"hello")):
        (tmp_path / name).write_bytes(content)
    for name in ("tone.wav", "empty.mp4", "text.mp4", "a.txt", "missing.mp4", "."):
        with pytest.raises(SourceError, match=name):
            times_of(tmp_path / name)


def test_a_video_without_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    AviWriter(path, (64, 48), Fraction(10), "mjpeg").close()
    with pytest.raises(SourceError, match=r"none\.avi"):
        times_of(path)
