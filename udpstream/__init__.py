"""A camera link for the local network: frames over UDP, whole or counted.

with udpstream.Sender("192.0.2.7", codec="jpeg", quality=80) as sender:
    sender.send(frame_bgr)

with udpstream.Receiver(port=9505) as receiver:
    for frame in receiver:
        frame.image, frame.number, frame.stream, frame.captured_at
"""

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
