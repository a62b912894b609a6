"""The size of a JPEG from its bytes, without decoding it."""

from __future__ import annotations

from udpstream.errors import FrameError
from udpstream.protocol import Buffer

# ITU-T T.81 table B.1. Start-of-frame markers are C0 to CF less DHT, JPG and DAC;
# TEM and RST0 to RST7 stand alone, all other markers bring a length.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})

# Tables and metadata before the frame header: a large colour profile takes 255 segments.
# Without a bound, a frame full of fill bytes would be read through one by one.
_MAX_STEPS = 4_096


def jpeg_size(payload: Buffer) -> tuple[int, int]:
    """Return the `(width, height)` that a JPEG's frame header states.

    A picture of 65,535 x 65,535 fits a kilobyte of JPEG, so the size is looked at
    before a decoder is let near the bytes.

    Raises:
        FrameError: the bytes are not a JPEG with a frame header.
    """
    if bytes(payload[:2]) != b"\xff\xd8":
        raise FrameError("not a JPEG: it does not begin with FF D8")
    at, end = 2, len(payload)
    for _ in range(_MAX_STEPS):
        if at + 4 > end:
            break
        if payload[at] != 0xFF:
            raise FrameError(f"a broken JPEG: no marker at byte {at}")
        marker = payload[at + 1]
        if marker == 0xFF:  # fill bytes may precede a marker
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            if at + 9 > end:
                break
            height = payload[at + 5] << 8 | payload[at + 6]
            width = payload[at + 7] << 8 | payload[at + 8]
            return width, height
        else:
            at += 2 + (payload[at + 2] << 8 | payload[at + 3])
    raise FrameError("a broken JPEG: no frame header where one should be")
