from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from udpstream.adapters.codec import check_picture, decode, encode
from udpstream.errors import FrameError
from udpstream.protocol import Codec

PICTURE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_raw_is_a_view_both_ways() -> None:
    payload = encode(Codec.RAW, PICTURE, 80)
    assert np.shares_memory(payload, PICTURE)
    image = decode(Codec.RAW, payload.data.toreadonly(), (64, 48))
    assert np.array_equal(image, PICTURE)
    assert np.shares_memory(image, PICTURE)
    assert not image.flags.writeable


def test_raw_of_a_picture_that_is_not_contiguous() -> None:
    payload = encode(Codec.RAW, PICTURE[::2, ::-1], 80)
    assert np.array_equal(decode(Codec.RAW, payload.data, (64, 24)), PICTURE[::2, ::-1])


def test_jpeg_comes_back_nearly_the_same() -> None:
    smooth = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    payload = encode(Codec.JPEG, smooth, 95)
    image = decode(Codec.JPEG, payload.tobytes(), (64, 48))
    assert image.shape == smooth.shape
    assert np.abs(image.astype(int) - smooth).mean() < 10


def test_less_quality_is_less_bytes() -> None:
    assert len(encode(Codec.JPEG, PICTURE, 20)) < len(encode(Codec.JPEG, PICTURE, 90))


@pytest.mark.parametrize(
    "picture",
    [
        PICTURE[:, :, 0],
        PICTURE.astype(np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 65_536, 3), np.uint8),
        [[1, 2, 3]],
    ],
)
def test_what_is_no_picture_is_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(FrameError, match="a frame"):
        check_picture(picture)


def test_a_payload_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="11 bytes are not a raw 2x2"):
        decode(Codec.RAW, bytes(11), (2, 2))
    payload = encode(Codec.JPEG, PICTURE, 80).tobytes()
    with pytest.raises(FrameError, match="JPEG of 64x48 was announced as 640x480"):
        decode(Codec.JPEG, payload, (640, 480))


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_jpeg_decodes_or_is_a_frame_error(data: st.DataObject) -> None:
    payload = bytearray(encode(Codec.JPEG, PICTURE, 60).tobytes())
    for _ in range(data.draw(st.integers(1, 8))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    del payload[data.draw(st.integers(0, len(payload))) :]
    try:
        image = decode(Codec.JPEG, bytes(payload), (64, 48))
    except FrameError:
        return
    assert image.shape == (48, 64, 3)


def test_a_camera_that_says_how_it_is_held_is_decoded_as_it_sent() -> None:
    picture = np.full((16, 32, 3), 90, np.uint8)
    jpeg = encode(Codec.JPEG, picture, 80).tobytes()
    exif = bytes.fromhex(  # APP1: big-endian TIFF with one entry, orientation 6: on its side
        "ffe10022 457869660000 4d4d002a00000008 0001 0112000300000001 00060000 00000000"
    )
    held = jpeg[:2] + exif + jpeg[2:]
    assert decode(Codec.JPEG, held, (32, 16)).shape == (16, 32, 3)


def test_what_opencv_raises_is_a_frame_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("too large")

    monkeypatch.setattr(cv2, "imencode", refuse)
    with pytest.raises(FrameError, match="could not encode a 32x16 picture"):
        encode(Codec.JPEG, np.zeros((16, 32, 3), np.uint8), 80)
