"""A camera link for the local network: frames over UDP, whole or counted.

with udpstream.Sender("192.0.2.7", codec="jpeg", quality=80) as sender:
    sender.send(frame_bgr)

with udpstream.Receiver(port=9505) as receiver:
    for frame in receiver:
        frame.image, frame.number, frame.stream, frame.captured_at
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from udpstream.errors import (
    AddressError,
    DatagramError,
    DisplayError,
    FrameError,
    RecordingError,
    SourceError,
    UdpStreamError,
)

if TYPE_CHECKING:
    from udpstream.core.ledger import Ledger, Loss, StreamReport
    from udpstream.core.stream import Stream
    from udpstream.frame import Frame
    from udpstream.protocol import Codec
    from udpstream.receiver import Receiver
    from udpstream.sender import Sender
    from udpstream.sinks import Sink

__version__ = "0.1.0"

__all__ = [
    "AddressError",
    "Codec",
    "DatagramError",
    "DisplayError",
    "Frame",
    "FrameError",
    "Ledger",
    "Loss",
    "Receiver",
    "RecordingError",
    "Sender",
    "Sink",
    "SourceError",
    "Stream",
    "StreamReport",
    "UdpStreamError",
]

_HOMES = {
    "Codec": "udpstream.protocol",
    "Frame": "udpstream.frame",
    "Ledger": "udpstream.core.ledger",
    "Loss": "udpstream.core.ledger",
    "Receiver": "udpstream.receiver",
    "Sender": "udpstream.sender",
    "Sink": "udpstream.sinks",
    "Stream": "udpstream.core.stream",
    "StreamReport": "udpstream.core.ledger",
}


def __getattr__(name: str) -> object:
    """Load what has that name at its first use: numpy and OpenCV take their time.

    So a command line that is called off at once has nothing to say, and one where OpenCV is
    broken can say so.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'udpstream' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
