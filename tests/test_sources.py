from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.adapters.sources import Source, open_source
from udpstream.adapters.sources.base import Device, DeviceHolder
from udpstream.adapters.sources.camera import Camera
from udpstream.adapters.sources.files import VideoFile, image_paths
from udpstream.adapters.sources.synthetic import CardSource, NoiseSource
from udpstream.adapters.testcard import Card, read_number
from udpstream.errors import SourceError

Picture = NDArray[np.uint8]
CARD = Card((160, 120))


def open_quietly(
    name: str | Path,
    *,
    size_wh: tuple[int, int] | None = None,
    fps: float | None = None,
    loop: bool = False,
    said: list[str] | None = None,
) -> Source:
    say = (lambda _: None) if said is None else said.append
    return open_source(str(name), size_wh=size_wh, fps=fps, loop=loop, say=say)


def read_all(source: Source, most: int = 1000) -> list[Picture]:
    pictures: list[Picture] = []
    while len(pictures) < most and (picture := source.read()) is not None:
        pictures.append(picture)
    source.close()
    assert source.read() is None
    return pictures


def numbers(source: Source, most: int = 1000) -> list[int | None]:
    return [read_number(picture) for picture in read_all(source, most)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten numbered cards at 25 fps."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    for number in range(10):
        writer.write(CARD.draw(number, 0.0))
    writer.release()
    return path


# -- names --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing", "-1", "1.5", "²", "a\0b", "x" * 5000])
def test_an_unknown_name_is_an_error_that_tells_the_choices(name: str) -> None:
    with pytest.raises(SourceError, match=r"camera index|cannot be opened"):
        open_quietly(name)


def test_cameras_are_not_opened_before_the_first_read() -> None:
    for name in ("0", "97", "/dev/video97"):
        source = open_quietly(name)
        assert source.live
        source.close()
        assert source.read() is None


@pytest.mark.parametrize("name", ["notes.mp4", "notes_01.txt", "empty.avi", "broken.jpg"])
def test_a_file_that_is_no_video_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("" if "empty" in name else "just words\n" * 100)
    with pytest.raises(SourceError, match=r"is not a video|none of the pictures"):
        open_quietly(path).read()


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing to see")
    with pytest.raises(SourceError, match="no images in the folder"):
        open_quietly(tmp_path)


def test_opencv_writes_nothing_to_the_error_output(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypisom" + bytes(5000))
    program = f"""
from udpstream.adapters.sources import open_source
from udpstream.errors import SourceError
import threading
try:
    open_source({str(broken)!r}, size_wh=None, fps=None, loop=False, say=print)
except SourceError:
    print("no video")
for name in ("97", "/dev/video97"):
    camera = open_source(name, size_wh=(640, 480), fps=30, loop=False, say=print)
    threading.Timer(0.2, camera.close).start()
    camera.read()
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "no video"
    assert [line.split(" (")[0] for line in lines[1:]] == [
        "camera 97 is not there",
        "camera /dev/video97 is not there",
    ]


# -- synthetic ----------------------------------------------------------------


def test_the_test_card_counts_and_keeps_the_time() -> None:
    times = iter([100.0, 100.0, 100.75])
    source = CardSource((160, 120), 25.0, clock=lambda: next(times))
    assert (source.fps, source.live) == (25.0, False)
    pictures = [source.read() for _ in range(3)]
    for number, (picture, elapsed_s) in enumerate(zip(pictures, (0.0, 0.0, 0.75), strict=True)):
        assert picture is not None
        np.testing.assert_array_equal(picture, CARD.draw(number, elapsed_s))
    assert not np.shares_memory(pictures[0], pictures[1])


@pytest.mark.parametrize("name", ["test", "noise"])
def test_synthetic_sources_default_to_640x480_at_30(name: str) -> None:
    source = open_quietly(name)
    assert source.fps == 30.0
    assert [picture.shape for picture in read_all(source, 2)] == [(480, 640, 3)] * 2


@pytest.mark.parametrize("name", ["test", "noise"])
@pytest.mark.parametrize("size_wh", [(16, 16), (1, 1), (641, 359), (3840, 2160)])
def test_synthetic_sources_draw_any_size(name: str, size_wh: tuple[int, int]) -> None:
    source = open_quietly(name, size_wh=size_wh, fps=5)
    assert source.fps == 5
    (picture,) = read_all(source, 1)
    assert picture.shape == (size_wh[1], size_wh[0], 3)
    assert picture.flags.c_contiguous


def test_noise_is_seeded_differs_and_is_not_overwritten() -> None:
    first, second = (read_all(NoiseSource((64, 48), seed=3), 3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, read_all(NoiseSource((64, 48), seed=4), 3))
    assert len({picture.tobytes() for picture in read_all(NoiseSource((64, 48)), 1021)}) == 1021
    assert 120 < np.mean(first[0]) < 135
    assert not any(picture.flags.writeable for picture in first)


# -- video files --------------------------------------------------------------


def test_a_video_plays_once_at_its_own_rate(video: Path) -> None:
    source = open_quietly(video)
    assert (source.fps, source.live) == (25.0, False)
    assert numbers(source) == list(range(10))


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (50.0, [n // 2 for n in range(20)]),
        (12.5, [0, 2, 4, 6, 8]),
        (10.0, [0, 2, 5, 7]),
        (1.0, [0]),
    ],
)
def test_a_video_keeps_its_speed_at_another_rate(
    video: Path, fps: float, expected: list[int]
) -> None:
    source = open_quietly(video, fps=fps)
    assert source.fps == fps
    assert numbers(source) == expected


def test_a_video_loops(video: Path) -> None:
    assert numbers(open_quietly(video, loop=True), 25) == [n % 10 for n in range(25)]


def test_a_looped_video_keeps_its_time_from_round_to_round(video: Path) -> None:
    # 0.4 s a round, read each 0.3 s: 0, 0.3, 0.6 = 0.2 of the second round ...
    source = open_quietly(video, fps=1 / 0.3, loop=True)
    assert numbers(source, 6) == [0, 7, 5, 2, 0, 7]


def test_a_video_is_scaled(video: Path) -> None:
    pictures = read_all(open_quietly(video, size_wh=(321, 201)), 2)
    assert [picture.shape for picture in pictures] == [(201, 321, 3)] * 2
    assert read_number(pictures[1]) == 1


def test_pictures_of_a_video_are_not_overwritten(video: Path) -> None:
    source = open_quietly(video)
    first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert not np.shares_memory(first, second)
    assert (read_number(first), read_number(second)) == (0, 1)
    source.close()


def test_a_video_that_breaks_off_ends_and_says_so(video: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    said: list[str] = []
    played = numbers(open_quietly(video, said=said))
    # FFmpeg fills the half picture at the break with the one before.
    assert played[:-1] == list(range(len(played) - 1))
    assert 2 < len(played) < 8
    (line,) = said
    assert line.startswith(f"{video} ended after {len(played) / 25:.1f} s of 0.4 s: the rest")


def test_a_whole_video_says_nothing(video: Path) -> None:
    said: list[str] = []
    numbers(open_quietly(video, said=said))
    numbers(open_quietly(video, said=said, fps=3.0, loop=True), 5)
    assert said == []


def test_a_looped_video_that_vanishes_is_an_error(video: Path) -> None:
    source = open_quietly(video, loop=True)
    video.unlink()
    with pytest.raises(SourceError, match="can no longer be read"):
        numbers(source, 30)


def test_an_uneven_video_keeps_its_time(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown_ms = [500.0, 540.0, 700.0, 740.0]  # begins at 0.5 s; nothing for 0.16 s

    class Uneven:
        def __init__(self, path: str) -> None:
            self.at = -1

        def read(self) -> tuple[bool, Any]:
            self.at += 1
            more = self.at < len(shown_ms)
            return more, CARD.draw(self.at, 0.0) if more else None

        def get(self, prop: int) -> float:
            known = {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_FRAME_COUNT: 7.0}
            return known[prop] if prop in known else shown_ms[min(self.at, 3)]

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Uneven)
    source = VideoFile(video, size_wh=None, fps=None, loop=False, say=lambda _: None)
    assert numbers(source) == [0, 1, 1, 1, 1, 2, 3]


# -- images -------------------------------------------------------------------


def write_cards(folder: Path, names: Iterable[str]) -> None:
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), CARD.draw(number, 0.0))


def test_images_come_in_natural_order(tmp_path: Path) -> None:
    names = ["a1.png", "a2.jpg", "A10.bmp", "a10b.PNG", "b.tif", "été 3.webp"]
    write_cards(tmp_path, names)
    (tmp_path / "a3.txt").write_text("no image")
    assert [path.name for path in image_paths(tmp_path)] == names
    source = open_quietly(tmp_path)
    assert source.fps == 30.0
    assert numbers(source) == list(range(6))


def test_numbers_and_words_sort_together(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "x.png", "01.png", "1.png", "1a.png", "²2.png"):
        (tmp_path / name).touch()
    expected = ["01.png", "1.png", "1a.png", "9.png", "10.png", "x.png", "²2.png"]
    assert [path.name for path in image_paths(tmp_path)] == expected


def test_images_loop_and_are_scaled(tmp_path: Path) -> None:
    write_cards(tmp_path, ["1.png", "2.png"])
    source = open_quietly(tmp_path, size_wh=(320, 200), fps=2.5, loop=True)
    assert source.fps == 2.5
    pictures = read_all(source, 5)
    assert [read_number(picture) for picture in pictures] == [0, 1, 0, 1, 0]
    assert {picture.shape for picture in pictures} == {(200, 320, 3)}


def test_a_broken_image_is_left_out_and_said_once(tmp_path: Path) -> None:
    write_cards(tmp_path, ["1.png", "3.png"])
    (tmp_path / "2.png").write_bytes(b"")
    said: list[str] = []
    assert numbers(open_quietly(tmp_path, loop=True, said=said), 5) == [0, 1, 0, 1, 0]
    assert said == [f"{tmp_path / '2.png'} cannot be read as a picture: it is left out"]


def test_one_image_is_a_source(tmp_path: Path) -> None:
    write_cards(tmp_path, ["only.png"])
    assert numbers(open_quietly(tmp_path / "only.png")) == [0]
    assert numbers(open_quietly(tmp_path / "only.png", loop=True), 3) == [0, 0, 0]


# -- cameras ------------------------------------------------------------------


class FakeCamera:
    """A device that gives so many cards and is then unplugged, or None for ever absent."""

    def __init__(
        self, cards: int | None, size_wh: tuple[int, int] = (640, 480), fps: float = 30.0
    ) -> None:
        self.cards = cards
        self.card = Card(size_wh)
        self.given = 0
        self.stated_fps = fps
        self.asked: list[tuple[int, float]] = []
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.cards is not None

    def read(self) -> tuple[bool, Any]:
        assert not self.released
        if self.cards is None or self.given == self.cards:
            return False, None
        self.given += 1
        return True, self.card.draw(self.given - 1, 0.0)

    def get(self, prop: int) -> float:
        known = {cv2.CAP_PROP_FPS: self.stated_fps, cv2.CAP_PROP_FRAME_WIDTH: 640.0,
                 cv2.CAP_PROP_FRAME_HEIGHT: 480.0}  # fmt: skip
        return known[prop]

    def set(self, prop: int, value: float) -> bool:
        self.asked.append((prop, value))
        return False

    def release(self) -> None:
        self.released += 1


def camera_of(
    devices: Iterable[Device],
    said: list[str],
    *,
    size_wh: tuple[int, int] | None = None,
    fps: float | None = None,
    retry_s: float = 0.0,
) -> Camera:
    plugged = iter(devices)
    return Camera(
        "0", size_wh=size_wh, fps=fps, say=said.append, retry_s=retry_s,
        open_device=lambda target: next(plugged),
    )  # fmt: skip


def shape_and_number(picture: Picture | None) -> tuple[tuple[int, ...], int | None]:
    assert picture is not None
    return picture.shape, read_number(picture)


def test_a_camera_gives_its_pictures_and_is_released() -> None:
    said: list[str] = []
    device = FakeCamera(100)
    camera = camera_of([device], said)
    assert camera.live
    fps_unread = camera.fps
    assert [shape_and_number(camera.read()) for _ in range(3)] == [
        ((480, 640, 3), n) for n in range(3)
    ]
    assert (fps_unread, camera.fps) == (None, 30.0)
    camera.close()
    camera.close()
    assert camera.read() is None
    assert device.released == 1
    assert said == []


def test_a_camera_that_is_not_there_yet_is_waited_for() -> None:
    said: list[str] = []
    absent = [FakeCamera(None) for _ in range(3)]
    camera = camera_of([*absent, FakeCamera(5)], said)
    assert shape_and_number(camera.read())[1] == 0
    assert [device.released for device in absent] == [1, 1, 1]
    assert len(said) == 2
    assert said[0].startswith("camera 0 is not there (")
    assert said[0].endswith("); trying again every 0 s")
    assert said[1] == "camera 0 is there"


def test_an_unplugged_camera_comes_back() -> None:
    said: list[str] = []
    first, dead, second = FakeCamera(2), FakeCamera(0), FakeCamera(2)
    camera = camera_of([first, FakeCamera(None), dead, second, FakeCamera(9)], said)
    assert [shape_and_number(camera.read())[1] for _ in range(5)] == [0, 1, 0, 1, 0]
    assert [device.released for device in (first, dead, second)] == [1, 1, 1]
    gone = "camera 0 has gone away (it gives no pictures); trying again every 0 s"
    assert said == [gone, "camera 0 is back"] * 2


def test_a_camera_that_fails_in_opencv_is_tried_again() -> None:
    class Failing(FakeCamera):
        def read(self) -> tuple[bool, Any]:
            raise cv2.error("VIDIOC_DQBUF: no such device")

    said: list[str] = []
    camera = camera_of([Failing(1), FakeCamera(1)], said)
    assert shape_and_number(camera.read())[1] == 0
    assert said[1:] == ["camera 0 is there"]


def test_a_camera_of_another_size_is_scaled_and_said_once() -> None:
    said: list[str] = []
    devices = [FakeCamera(2, (1280, 720), fps=10.0), FakeCamera(2, (1280, 720), fps=10.0)]
    camera = camera_of(devices, said, size_wh=(1920, 1080), fps=30.0)
    assert camera.fps == 30.0
    for _ in range(4):
        assert shape_and_number(camera.read())[0] == (1080, 1920, 3)
    assert camera.fps == 10.0
    assert said[0] == (
        "camera 0 gives 1280x720 at 10 fps where 1920x1080 at 30 fps was asked for; "
        "its pictures are scaled to 1920x1080"
    )
    assert not any("gives 1280" in line for line in said[1:])


def test_a_camera_at_another_rate_is_said() -> None:
    said: list[str] = []
    camera_of([FakeCamera(1, fps=15.0)], said, fps=30.0).read()
    assert said == ["camera 0 gives 640x480 at 15 fps where 30 fps was asked for"]


def test_the_mode_is_asked_in_the_order_that_works() -> None:
    mjpg = (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    two_buffers = (cv2.CAP_PROP_BUFFERSIZE, 2)

    def asked(size_wh: tuple[int, int] | None, fps: float | None) -> list[tuple[int, float]]:
        device = FakeCamera(1)
        camera_of([device], [], size_wh=size_wh, fps=fps).read()
        return device.asked

    size = [(cv2.CAP_PROP_FRAME_WIDTH, 1920), (cv2.CAP_PROP_FRAME_HEIGHT, 1080)]
    assert asked((1920, 1080), 30) == [mjpg, *size, (cv2.CAP_PROP_FPS, 30), two_buffers]
    assert asked(None, 60) == [mjpg, (cv2.CAP_PROP_FPS, 60), two_buffers]
    assert mjpg not in asked((640, 480), 30)
    assert mjpg not in asked((640, 480), None)
    assert asked(None, None) == [two_buffers]


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    return thread, results


def test_close_ends_the_wait_for_a_camera() -> None:
    waiting = threading.Event()
    camera = Camera(
        "0", size_wh=None, fps=None, say=lambda _: waiting.set(), retry_s=600.0,
        open_device=lambda _: FakeCamera(None),
    )  # fmt: skip
    thread, results = in_thread(camera.read)
    assert waiting.wait(10)
    camera.close()
    thread.join(10)
    assert results == [None]


def test_a_camera_closed_in_a_read_is_released_by_the_reader() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Blocking(FakeCamera):
        def read(self) -> tuple[bool, Any]:
            inside.set()
            go_on.wait(10)
            return super().read()

    device = Blocking(5)
    said: list[str] = []
    camera = camera_of([device], said)
    thread, results = in_thread(camera.read)
    assert inside.wait(10)
    camera.close()  # returns although the driver does not
    assert device.released == 0
    go_on.set()
    thread.join(10)
    assert device.released == 1
    assert len(results) == 1
    assert camera.read() is None
    assert said == []


def test_a_device_opened_after_the_close_is_released() -> None:
    holder, device = DeviceHolder(), FakeCamera(1)
    holder.close()
    holder.hold(device)
    assert holder.read() is None
    assert device.released == 1
