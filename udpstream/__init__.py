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

from udpstream.core.ledger import Ledger, Loss, StreamReport
from udpstream.errors import (
    AddressError,
    DatagramError,
    DisplayError,
    FrameError,
    RecordingError,
    SourceError,
    UdpStreamError,
)
from udpstream.frame import Frame, Stream
from udpstream.protocol import Codec
from udpstream.sinks import Sink

if TYPE_CHECKING:
    from udpstream.receiver import Receiver
    from udpstream.sender import Sender

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

_ENGINES = {"Receiver": "udpstream.receiver", "Sender": "udpstream.sender"}


def __getattr__(name: str) -> object:
    """Load an engine at its first use: OpenCV takes its time, and may be broken."""
    if name not in _ENGINES:
        raise AttributeError(f"module 'udpstream' has no attribute {name!r}")
    return getattr(import_module(_ENGINES[name]), name)
