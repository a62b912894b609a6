from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.jpeg import jpeg_size
from udpstream.errors import FrameError


def jpeg(width: int, height: int, *options: int) -> bytes:
    ok, payload = cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8), options)
    assert ok
    return payload.tobytes()


@pytest.mark.parametrize("size_wh", [(1, 1), (640, 480), (7, 1000)])
@pytest.mark.parametrize("progressive", [0, 1])
def test_the_size_of_real_jpegs(size_wh: tuple[int, int], progressive: int) -> None:
    payload = jpeg(*size_wh, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    assert jpeg_size(payload) == size_wh
    assert jpeg_size(memoryview(payload)) == size_wh


def test_segments_and_fill_bytes_before_the_frame_header_are_passed_over() -> None:
    payload = jpeg(9, 5)
    extra = b"\xff\xe1\x00\x06Exif" + b"\xff\xff\xff\xfe\x00\x03!" + b"\xff\x01" + b"\xff\xd0"
    assert jpeg_size(payload[:2] + extra + payload[2:]) == (9, 5)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"\x89PNG\r\n",
        b"\xff\xd8",
        b"\xff\xd8\xff\xc0\x00\x11\x08\x00",  # ends in its frame header
        b"\xff\xd8\x00\x00\x00\x00",
        b"\xff\xd8\xff\xe0\xff\xff",  # a segment longer than the file
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 9,
    ],
)
def test_what_is_no_jpeg_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError, match=r"not a JPEG|broken JPEG"):
        jpeg_size(payload)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xd0", b"\xff\xe0\x00\x00"])
def test_megabytes_of_nothing_are_not_read_through(filler: bytes) -> None:
    class Counted(bytes):
        reads = 0

        def __getitem__(self, at):  # type: ignore[no-untyped-def]
            Counted.reads += 1
            return bytes.__getitem__(self, at)

    Counted.reads = 0
    with pytest.raises(FrameError, match="broken JPEG"):
        jpeg_size(Counted(b"\xff\xd8" + filler * 1_000_000))
    assert Counted.reads < 20_000


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_a_size_or_a_frame_error(payload: bytes, begins_well: bool) -> None:
    try:
        width, height = jpeg_size(b"\xff\xd8\xff" * begins_well + payload)
    except FrameError:
        return
    assert 0 <= width <= 65_535
    assert 0 <= height <= 65_535
