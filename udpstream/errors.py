"""The errors that udpstream raises.

UdpStreamError
├── AddressError (ValueError)     an address that cannot be read, resolved or bound
├── DatagramError (ValueError)    bytes that are not a datagram of this wire
├── ParityError (ValueError)      parity asked for, or used, as its code does not allow
├── FrameError (ValueError)       a picture that cannot be sent or decoded
├── SourceError (OSError)         a camera, file or folder that cannot be opened
├── RecordingError (OSError)      a recording that cannot be written
├── DisplayError (RuntimeError)   a window that cannot be opened
├── PoseError (RuntimeError)      poses cannot be found: MediaPipe or its model is missing
└── BadReferenceError (ValueError) a reference to score against that cannot be used

Each message says what happened, to what, and what to do about it.
"""


class UdpStreamError(Exception):
    """Base of all errors raised on purpose by udpstream."""


class AddressError(UdpStreamError, ValueError):
    """An address cannot be read, resolved, bound or reached."""


class DatagramError(UdpStreamError, ValueError):
    """Bytes that are not a well-formed datagram. Parsers raise nothing else."""


class ParityError(UdpStreamError, ValueError):
    """Parity is asked for or used in a way that the code does not allow."""


class FrameError(UdpStreamError, ValueError):
    """A picture that cannot be encoded, sent or decoded."""


class SourceError(UdpStreamError, OSError):
    """A source of frames cannot be opened or read."""


class RecordingError(UdpStreamError, OSError):
    """A recording cannot be opened or written."""


class DisplayError(UdpStreamError, RuntimeError):
    """A window cannot be opened."""


class PoseError(UdpStreamError, RuntimeError):
    """Poses cannot be found here: MediaPipe or its model is missing, or does not work."""


class BadReferenceError(UdpStreamError, ValueError):
    """A reference to score against cannot be read, or there is nobody in it."""
