"""What to send over a link that was tried: datagram size, codec and quality, rate, parity."""

from __future__ import annotations

import math
from dataclasses import dataclass

from udpstream.core.ladder import FPS, RateLadder
from udpstream.protocol import (
    DEFAULT_DATAGRAM_BYTES,
    HEADER_BYTES,
    MAX_CHUNKS_PER_BLOCK,
    Codec,
)

# Bytes a pixel of a JPEG at each quality: `udpstream.bench.pictures`, 640x480 and 1920x1080.
JPEG_BYTES_PER_PIXEL = {
    90: 0.202, 80: 0.135, 70: 0.107, 60: 0.090, 50: 0.077, 40: 0.065, 30: 0.053, 20: 0.039,
}  # fmt: skip
_FRAME_RATES = (FPS, 15, 10, 5)
_PLAIN_TO_SEE = 40  # quality below which a picture breaks up into blocks
_ROOM = 0.7  # of the rate that was carried: pictures differ in size, and links have bad minutes
_RAW_ROOM = 0.5  # raw pictures leave the sender nothing to give way with
_LEAST_PARITY = 2  # chunks a block
_BROKEN = 1e-4  # share of the blocks that parity may fail to restore
_BROKEN_DEVIATIONS = 3.72  # of the normal distribution, for that share
_IP_AND_UDP_BYTES = 48  # IPv6's 40 and UDP's 8


@dataclass(frozen=True, slots=True)
class Advice:
    """Options of the sender that a link carries.

    Attributes:
        datagram_bytes: size of the datagrams.
        codec: how to send pictures.
        quality: of JPEG; None for raw.
        fps: frames a second.
        parity_percent: parity chunks by data chunks; None leaves it to the sender.
        bps: what it all comes to on the wire.
        fits: whether that is within what the link carried.
    """

    datagram_bytes: int
    codec: Codec
    quality: int | None
    fps: int
    parity_percent: int | None
    bps: float
    fits: bool

    def options(self) -> str:
        """The sender's options in one line."""
        parts = [f"--datagram {self.datagram_bytes}"]
        parts.append("--codec raw" if self.quality is None else f"--quality {self.quality}")
        parts.append(f"--fps {self.fps}")
        parity = "auto" if self.parity_percent is None else str(self.parity_percent)
        return " ".join([*parts, f"--fec {parity}"])


def advise(ladder: RateLadder, size_wh: tuple[int, int], path_mtu_bytes: int | None) -> Advice:
    """Choose the best picture that a link carries, with room to spare.

    Args:
        ladder: the trials; at least one rate was carried.
        size_wh: of the pictures, in pixels.
        path_mtu_bytes: the largest IP packet on the way, if known.
    """
    best = ladder.best
    assert best is not None
    loss, mean_run = ladder.expected_loss()
    datagram_bytes = best.datagram_bytes
    if path_mtu_bytes is not None and datagram_bytes > path_mtu_bytes - _IP_AND_UDP_BYTES:
        datagram_bytes = min(DEFAULT_DATAGRAM_BYTES, path_mtu_bytes - _IP_AND_UDP_BYTES)
    pixels = size_wh[0] * size_wh[1]

    def advice(quality: int | None, bytes_per_pixel: float, fps: int) -> Advice:
        codec = Codec.RAW if quality is None else Codec.JPEG
        chunks = math.ceil(pixels * bytes_per_pixel / (datagram_bytes - HEADER_BYTES))
        parity = parity_percent(loss, mean_run, chunks)
        bps = chunks * datagram_bytes * 8 * fps * (1 + (parity or 0) / 100)
        room = _RAW_ROOM if codec is Codec.RAW else _ROOM
        fits = bps <= room * best.bps * (1 - best.loss)
        return Advice(datagram_bytes, codec, quality, fps, parity, bps, fits)

    if not loss and (raw := advice(None, 3.0, FPS)).fits:
        return raw
    for fps in _FRAME_RATES:
        for quality, bytes_per_pixel in JPEG_BYTES_PER_PIXEL.items():
            chosen = advice(quality, bytes_per_pixel, fps)
            # Fewer frames before the picture is worse than that.
            if chosen.fits and (quality >= _PLAIN_TO_SEE or fps == _FRAME_RATES[-1]):
                return chosen
    return chosen


def parity_percent(loss: float, mean_run: float, chunks: int) -> int | None:
    """How much parity restores all but one block in ten thousand; None where nothing is lost.

    Losses in rows of `mean_run` make the number lost in a block vary more, by the factor
    2 * mean_run - 1 in its variance, than losses that know nothing of each other.
    """
    if not loss:
        return None
    blocks = -(-chunks // (MAX_CHUNKS_PER_BLOCK * 3 // 4))
    data = -(-chunks // blocks)
    parity = _LEAST_PARITY
    while parity < data:  # parity gets lost, too
        mean = (data + parity) * loss
        deviation = math.sqrt(mean * (1 - loss) * max(1.0, 2 * mean_run - 1))
        if mean + _BROKEN_DEVIATIONS * deviation + 0.5 <= parity:
            break
        parity += 1
    return math.ceil(100 * parity / data)
