"""MediaPipe in a process of its own: frames in as they were received, poses out.

There it can neither hold this interpreter when the link wants it, nor end this process, nor
write to its terminal; and loading it can be given up at any moment.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.child import Child, ChildGoneError, Requests
from udpstream.core.landmarks import N_LANDMARKS
from udpstream.errors import FrameError, PoseError
from udpstream.frame import Frame
from udpstream.protocol import Codec

_NICER = 10  # a tenth of the share that others have of a core that all want
_REQUEST = struct.Struct("<?II")  # whether raw, width, height; then the payload
# An answer is one of these, and what it says.
_READY, _POSE, _NOBODY, _NO_PICTURE, _FAILED = b"R", b"P", b"N", b"F", b"E"


class PoseProcess:
    """Finds one person's pose in each frame of a stream, as `pose.PoseTracker` does.

    Calls must come one after the other, but for `kill`, which may come on any thread.
    """

    def __init__(self, model: Path) -> None:
        """Start the process; `wait` until it is ready.

        Raises:
            PoseError: it cannot be started.
        """
        try:
            self._child = Child(__name__, str(model))
        except ChildGoneError as error:
            raise PoseError(f"poses cannot be found: {error}") from error

    @property
    def id(self) -> int:
        """The process's number."""
        return self._child.id

    def wait(self) -> None:
        """Wait until MediaPipe and the model are loaded, which takes some seconds.

        Raises:
            PoseError: MediaPipe is not installed or does not load, or the file is no such
                model; or the process was killed.
        """
        self._answer()

    def find(self, frame: Frame) -> NDArray[np.float32] | None:
        """Find the pose in the stream's next frame: see `pose.PoseTracker.find`.

        Raises:
            FrameError: the frame is not a picture.
            PoseError: MediaPipe failed, or its process did.
        """
        try:
            self._child.write(
                _REQUEST.pack(frame.codec is Codec.RAW, *frame.size_wh), frame.payload
            )
        except ChildGoneError as error:
            raise PoseError(f"finding poses failed: {error}") from error
        kind, content = self._answer()
        if kind == _NO_PICTURE:
            raise FrameError(content.decode())
        if kind == _NOBODY:
            return None
        return np.frombuffer(content, np.float32).reshape(N_LANDMARKS, 4)

    def kill(self) -> None:
        """Give up: who waits for it is told; may be called again."""
        self._child.kill()

    def close(self) -> None:
        """Let go of the model; may be called again."""
        self._child.close()

    def _answer(self) -> tuple[bytes, bytes]:
        try:
            answer = self._child.read()
        except ChildGoneError as error:
            raise PoseError(f"finding poses failed: {error}") from error
        kind, content = answer[:1], answer[1:]
        if kind == _FAILED:
            raise PoseError(content.decode())
        return kind, content


def main(arguments: Sequence[str]) -> None:
    """Be that process: load the model, say so, and answer each frame."""
    requests = Requests(nicer=_NICER)
    try:
        _serve(requests, Path(arguments[0]))
    except PoseError as error:
        requests.answer(_FAILED, str(error).encode())


def _serve(requests: Requests, model: Path) -> None:
    from udpstream.adapters.codec import decode
    from udpstream.pose import PoseTracker

    with PoseTracker(model) as tracker:
        requests.answer(_READY)
        for request in requests:
            is_raw, width, height = _REQUEST.unpack_from(request)
            codec = Codec.RAW if is_raw else Codec.JPEG
            try:
                image_bgr = decode(codec, memoryview(request)[_REQUEST.size :], (width, height))
            except FrameError as error:
                requests.answer(_NO_PICTURE, str(error).encode())
                continue
            pose = tracker.find(image_bgr)
            if pose is None:
                requests.answer(_NOBODY)
            else:
                requests.answer(_POSE, pose.tobytes())
