"""What a look at a machine or a link found, and how to mend it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from udpstream.core.advice import JPEG_BYTES_PER_PIXEL
from udpstream.core.pacing import buffer_need
from udpstream.protocol import HEADER_BYTES

Level: TypeAlias = Literal["ok", "warning", "problem"]

_QUALITY = 80
_PICTURES = {  # name: bytes
    "JPEG 640x480": 640 * 480 * JPEG_BYTES_PER_PIXEL[_QUALITY],
    "JPEG 1920x1080": 1920 * 1080 * JPEG_BYTES_PER_PIXEL[_QUALITY],
    "raw 640x480": 640 * 480 * 3,
    "raw 1920x1080": 1920 * 1080 * 3,
}
_WANTED = "raw 640x480"  # what a receive buffer should hold


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: whether it is well, might be better, or has to be mended.
        subject: what was looked at, in a word or two.
        text: what was found.
        fixes: how to mend it, a line each; any one of them will do.
    """

    level: Level
    subject: str
    text: str
    fixes: tuple[str, ...] = ()


def receive_buffer(granted_bytes: int, datagram_bytes: int, platform: str) -> Finding:
    """Judge a socket's receive buffer by the frames that it holds.

    Args:
        granted_bytes: as the kernel counts.
        datagram_bytes: in which frames come.
        platform: as in `sys.platform`, of the machine that has the socket.
    """
    chunk_bytes = max(1, datagram_bytes - HEADER_BYTES)
    needs = {
        name: buffer_need(math.ceil(size / chunk_bytes), datagram_bytes)
        for name, size in _PICTURES.items()
    }
    held = [name for name, need in needs.items() if need <= granted_bytes]
    missed = [f"{name} ({need:,})" for name, need in needs.items() if need > granted_bytes]
    text = f"{granted_bytes:,} bytes hold a frame at once of {', '.join(held) or 'no kind'}"
    if missed:
        text += f"; not of {', '.join(missed)}, which is sent in slower bursts"
    if _WANTED in held:
        return Finding("ok", "receive buffer", text)
    wanted = needs["raw 1920x1080"]
    fix = {
        "linux": f"sudo sysctl -w net.core.rmem_max={wanted}",
        "darwin": f"sudo sysctl -w kern.ipc.maxsockbuf={wanted}",
    }.get(platform, f"udpstream receive --receive-buffer {wanted}")
    return Finding("warning", "receive buffer", text, (fix,))
