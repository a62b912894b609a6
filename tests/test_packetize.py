from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from udpstream.core.layout import layout_of
from udpstream.core.packetize import Packetizer, headers_of, packetize_classic
from udpstream.errors import FrameError
from udpstream.protocol import HEADER_BYTES, ClassicGeometry, Codec, parse_frame_header

SIZE_WH = (640, 480)


def payload_of(length: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 256, length, dtype=np.uint8)


@given(st.integers(1, 30_000), st.integers(25, 2_000))
def test_every_datagram_is_sound_and_together_they_are_the_frame(
    length: int, datagram_bytes: int
) -> None:
    payload = payload_of(length)
    datagrams = (
        Packetizer(0xBEEF, datagram_bytes)
        .packetize(payload, Codec.JPEG, SIZE_WH, (1 << 32) + 9, (1 << 40) + 5)
        .whole()
    )
    assert datagrams.flags.c_contiguous
    headers = [parse_frame_header(row.data) for row in datagrams]
    assert [header.position for header in headers] == list(range(len(datagrams)))
    first = headers[0]
    assert (first.data_chunks, first.length) == (len(datagrams), length)
    assert (first.frame, first.captured_us, first.epoch) == (9, 5, 0xBEEF)
    body = datagrams[:, HEADER_BYTES:].reshape(-1)
    assert np.array_equal(body[:length], payload)
    assert not body[length:].any()
    # As large as allowed, and the filling less than a byte a datagram.
    assert datagrams.shape[1] <= datagram_bytes
    assert len(datagrams) <= -(-length // (datagram_bytes - HEADER_BYTES))
    assert len(body) - length < len(datagrams)


@pytest.mark.parametrize(
    ("length", "datagram_bytes", "chunks", "data"),
    [
        (921_600, 1400, 670, 224),  # raw 640x480
        (24_883_200, 1400, 18_084, 255),  # raw 4K
        (255 * 100, 124, 255, 255),
        (256 * 100, 124, 256, 128),
        (65_280, 25, 65_280, 255),
        (6, 26, 3, 3),
        (1, 65_507, 1, 1),
    ],
)
def test_how_frames_are_cut(length: int, datagram_bytes: int, chunks: int, data: int) -> None:
    datagrams = (
        Packetizer(1, datagram_bytes)
        .packetize(payload_of(length), Codec.JPEG, SIZE_WH, 0, 0)
        .whole()
    )
    assert len(datagrams) == chunks
    assert datagrams[0, 4] == data
    any_header, layout = datagrams[-1, :HEADER_BYTES].tobytes(), layout_of(chunks, data, 0)
    headers = datagrams[:, :HEADER_BYTES].tobytes()
    assert headers_of(any_header, layout) == headers
    assert headers_of(any_header, layout, 2) == headers[: 2 * HEADER_BYTES]


def test_the_buffer_is_used_again_and_leaves_no_traces() -> None:
    packetizer = Packetizer(7, 1400)
    places = []
    for length in (5000, 5000, 4999, 100_000, 5000):
        payload = payload_of(length, seed=length)
        frame = packetizer.packetize(payload, Codec.JPEG, SIZE_WH, length, length)
        fresh = Packetizer(7, 1400).packetize(payload, Codec.JPEG, SIZE_WH, length, length).whole()
        assert np.array_equal(frame.whole(), fresh)
        places.append(frame.datagrams.ctypes.data)
        packetizer.reuse(frame)
    assert places[0] == places[1] == places[2] != places[3] == places[4]


def test_a_frame_of_too_many_blocks_is_refused() -> None:
    with pytest.raises(FrameError, match=r"257 blocks .* use larger datagrams"):
        Packetizer(1, 25).packetize(payload_of(65_281), Codec.JPEG, SIZE_WH, 0, 0).whole()


@pytest.mark.parametrize("datagram_bytes", [-1, 24, 65_508])
def test_impossible_datagram_sizes(datagram_bytes: int) -> None:
    with pytest.raises(FrameError, match="give 25 to 65507"):
        Packetizer(1, datagram_bytes)


@given(st.integers(1, 40), st.integers(1, 30), st.integers(16, 400))
def test_classic_datagrams(width: int, height: int, chunk_bytes: int) -> None:
    geometry = ClassicGeometry((width, height), chunk_bytes)
    payload = payload_of(width * height * 3)
    datagrams = packetize_classic(payload, geometry)
    assert [datagram[0] for datagram in datagrams] == list(range(geometry.chunks))
    assert all(geometry.is_chunk(datagram) for datagram in datagrams)
    assert b"".join(datagram[1:] for datagram in datagrams) == payload.tobytes()


def test_classic_golden_bytes() -> None:
    geometry = ClassicGeometry((2, 2), chunk_bytes=5)
    datagrams = packetize_classic(np.arange(12, dtype=np.uint8), geometry)
    assert [datagram.hex(" ") for datagram in datagrams] == [
        "00 00 01 02 03 04",
        "01 05 06 07 08 09",
        "02 0a 0b",
    ]


def test_classic_refuses_another_size() -> None:
    with pytest.raises(FrameError, match="classic wire of 640x480"):
        packetize_classic(payload_of(12), ClassicGeometry())
