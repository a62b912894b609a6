"""The sending end: pictures in, paced datagrams out, and an ear for the receiver."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.codec import DEFAULT_QUALITY, check_picture, encode, scaled
from udpstream.adapters.udp import Offload, UdpSender
from udpstream.core.adaptation import Adaptation
from udpstream.core.fec import DEFAULT_MAX_PERCENT, Fec
from udpstream.core.histogram import Histogram
from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES, pace_frame
from udpstream.core.packetize import OutgoingFrame, packetize_classic
from udpstream.core.picture import Limits
from udpstream.core.reassembly import LATENCY_BUDGET_S
from udpstream.core.sending import SenderCore
from udpstream.errors import AddressError, FrameError, ParityError
from udpstream.pacer import paced
from udpstream.protocol import (
    CLASSIC_CHUNK_BYTES,
    CLASSIC_INDEX_BYTES,
    DEFAULT_DATAGRAM_BYTES,
    DEFAULT_PORT,
    MAX_SIDE,
    ClassicGeometry,
    Codec,
    Result,
)

CodecName: TypeAlias = Literal["jpeg", "raw"]
SenderWire: TypeAlias = Literal["indexed", "classic"]
Parity: TypeAlias = Literal["auto", "off"] | float

_BYES = 3  # nobody answers a BYE, so it is said more than once
_LISTEN_S = 0.1  # how long the listening thread may take to see that it should stop
# System calls' worth of datagrams that are filled together, 256 KB: it spares numpy's cost a
# call, and they are in the L2 cache still when the kernel copies them.
_FILLED_CALLS = 4


@dataclass(slots=True)
class SenderStats:
    """What a sender has sent so far.

    Attributes:
        frames: whole frames.
        payload_bytes: their encoded bytes.
        wire_bytes: UDP payload of their datagrams, of repairs and of the hellos between.
        parity_bytes: of these, datagrams with parity.
        repair_bytes: and those that were asked for again.
        left_out: pictures that were not sent, because the link asked for fewer.
        capture: how long each waited between capture and encoder.
        encode: how long each took to encode.
        send: how long each took to leave, pacing included.
    """

    frames: int = 0
    payload_bytes: int = 0
    wire_bytes: int = 0
    parity_bytes: int = 0
    repair_bytes: int = 0
    left_out: int = 0
    capture: Histogram = field(default_factory=Histogram)
    encode: Histogram = field(default_factory=Histogram)
    send: Histogram = field(default_factory=Histogram)


class Sender:
    """Sends pictures to one receiver or one multicast group.

    A receiver need not be there: it can come, go and come back while the sender sends.
    One thread may call `send`; a second one, inside, listens for the receiver.

    Example:
        with udpstream.Sender("192.0.2.7", codec="jpeg", quality=80) as sender:
            sender.send(frame_bgr)
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        codec: CodecName = "jpeg",
        quality: int = DEFAULT_QUALITY,
        fps: float | None = None,
        wire: SenderWire = "indexed",
        datagram_bytes: int | None = None,
        offload: Offload = "auto",
        fec: Parity = "auto",
        max_fec_percent: float = DEFAULT_MAX_PERCENT,
        adapt: bool = True,
        limits: Limits | None = None,
    ) -> None:
        """Open the way to a receiver.

        Args:
            host: the receiver's name or address, or a multicast group.
            port: its UDP port.
            codec: ``"jpeg"`` or ``"raw"``; the classic wire carries raw only.
            quality: JPEG quality, 1 to 100.
            fps: frames a second that will be sent, if known: a frame that has to be
                spread leaves within three quarters of its interval.
            wire: ``"indexed"``, or ``"classic"`` for scripts that know no other.
            datagram_bytes: largest datagram; 1,400 unless told, 46,081 on the classic wire.
            offload: UDP_SEGMENT where it works (``"auto"``), or force ``"on"``, ``"off"``.
            fec: parity chunks for each hundred data chunks; ``"auto"`` follows the loss that
                the receiver reports, ``"off"`` sends none.
            max_fec_percent: the most that ``"auto"`` may use; where there is any, a block
                gets two parity chunks at least.
            adapt: whether anything follows the link: parity its loss, and where it is too
                narrow pace, quality, size and frame rate. Without it ``fec="auto"`` is none.
            limits: how far they may.

        Raises:
            AddressError: the host is unknown or cannot be reached.
            FrameError: quality, codec or datagram size are not to be had.
            ParityError: so much parity is not, or none on that wire.
        """
        if codec not in {each.value for each in Codec}:
            raise FrameError(f"'{codec}' is no codec of this link: give jpeg or raw")
        if wire not in {"indexed", "classic"}:
            raise FrameError(f"'{wire}' is no wire of this link: give indexed or classic")
        if not 1 <= quality <= 100:
            raise FrameError(f"a JPEG quality of {quality}: give 1 to 100")
        if wire == "classic" and codec != "raw":
            raise FrameError(
                f"the classic wire carries raw pictures only, not {codec}: "
                "send raw, or on the indexed wire"
            )
        if wire == "classic" and not isinstance(fec, str) and fec:
            raise ParityError(
                f"the classic wire carries no parity, and {fec:g} % of it is asked for: "
                "leave that out, or send on the indexed wire"
            )
        self.stats = SenderStats()
        self._codec = Codec(codec)
        self._quality = quality
        self._interval_s = _interval_s(fps)
        self._wall_offset_s = time.time() - time.monotonic()
        self._core: SenderCore | None = None
        self._classic_chunk_bytes = 0
        if wire == "classic":
            if datagram_bytes is None:
                datagram_bytes = CLASSIC_CHUNK_BYTES + CLASSIC_INDEX_BYTES
            self._classic_chunk_bytes = datagram_bytes - CLASSIC_INDEX_BYTES
        else:
            if datagram_bytes is None:
                datagram_bytes = DEFAULT_DATAGRAM_BYTES
            self._core = SenderCore(
                epoch=int.from_bytes(os.urandom(2)),
                session=int.from_bytes(os.urandom(8)),
                datagram_bytes=datagram_bytes,
                interval_s=self._interval_s,
                wall_offset_s=self._wall_offset_s,
                adaptation=Adaptation(
                    quality=quality if codec == "jpeg" else None,
                    fec=Fec(
                        _fixed_percent(fec, adapt=adapt),
                        max_percent=max_fec_percent,
                    ),
                    limits=limits,
                    enabled=adapt,
                    datagram_bytes=datagram_bytes,
                ),
            )
        self._socket = UdpSender(host, port, offload=offload)
        self._frame_lock = threading.Lock()  # held while a frame leaves; taken before the other
        self._lock = threading.Lock()  # guards the core, the socket's mode and the stats
        # No more frames are taken; then the listening thread ends; then the socket is closed.
        self._closing = self._stopping = self._closed = False
        self._left_s = -math.inf  # when the latest frame had left
        self._error: Exception | None = None  # what ended the listening thread
        self._listener: threading.Thread | None = None
        if self._core is not None:
            self._listener = threading.Thread(
                target=self._listen, args=(self._core,), name="udpstream-sender", daemon=True
            )
            self._listener.start()

    @property
    def address(self) -> str:
        """Where it sends to, as ``host:port``."""
        return str(self._socket.endpoint)

    @property
    def receiver_is_there(self) -> bool:
        """Whether a receiver has answered within the last seconds."""
        return self._core is not None and self._core.receiver_is_there

    @property
    def expects_answer(self) -> bool:
        """Whether a receiver's answer can be heard: not on the classic wire, nor from a group."""
        return self._core is not None and not self._socket.endpoint.is_multicast

    @property
    def result(self) -> Result | None:
        """What a receiver that scores has said last of the pictures; None for 2 s without."""
        if self._core is None:
            return None
        with self._lock:
            return self._core.result(time.monotonic())

    @property
    def fps(self) -> float | None:
        """Frames a second that are going to be sent; None if not known."""
        return None if self._interval_s is None else 1 / self._interval_s

    @fps.setter
    def fps(self, fps: float | None) -> None:
        self._interval_s = _interval_s(fps)
        if self._core is not None:
            self._core.interval_s = self._interval_s

    @property
    def adaptation(self) -> str:
        """What is not as it was asked for, because of the link, in a few words; else empty."""
        if self._core is None:
            return ""
        with self._lock:
            return self._core.adaptation.describe()

    @property
    def segments(self) -> bool:
        """Whether the kernel cuts datagrams for us (UDP_SEGMENT)."""
        return self._socket.segments

    def send(self, frame_bgr: NDArray[np.uint8], captured_s: float | None = None) -> None:
        """Encode and send one picture; returns when its last datagram has left.

        Args:
            frame_bgr: `(H, W, 3)` uint8 BGR; not retained.
            captured_s: `time.monotonic()` at its capture; now, if not told.

        Raises:
            FrameError: the array is not a picture, or not one that this wire carries.
            AddressError: it cannot be sent there at all, or this sender was closed. A
                receiver that is not there, or a link that is down, is no error.
            Exception: whatever ended the thread that listens: it would be a fault of ours.
        """
        begun_s = time.monotonic()
        captured_s = begun_s if captured_s is None else captured_s
        check_picture(frame_bgr)
        if not self._admit(begun_s):
            return
        quality, scale = self._chosen()
        frame_bgr = scaled(frame_bgr, scale)
        payload = encode(self._codec, frame_bgr, quality)
        encode_s = time.monotonic() - begun_s
        height, width = frame_bgr.shape[:2]
        self._send_payload(payload, self._codec, (width, height), captured_s)
        # It has left: what is not needed for that comes behind it.
        self.stats.capture.add(begun_s - captured_s)
        self.stats.encode.add(encode_s)
        if self._core is not None:
            with self._lock:
                of_jpeg = quality if self._codec is Codec.JPEG else None
                self._core.adaptation.frame_encoded(len(payload), of_jpeg, scale)
                self._core.note_stages(begun_s - captured_s, encode_s)

    def send_encoded(
        self,
        payload: NDArray[np.uint8],
        codec: Codec,
        size_wh: tuple[int, int],
        captured_s: float,
    ) -> None:
        """Send one picture that is encoded already, say by the camera.

        On a link that is too narrow some are left out: their quality is not ours to lower.

        Args:
            payload: `(length,)` uint8, at least one byte; not retained.
            codec: how it encodes the picture.
            size_wh: the picture's width and height in pixels.
            captured_s: `time.monotonic()` at its capture.

        Raises:
            FrameError: the picture is empty, too large, or not one that this wire carries.
            AddressError: as `send`.
        """
        length, (width, height) = len(payload), size_wh
        if not length or not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
            raise FrameError(
                f"a frame of {width}x{height} in {length} bytes cannot be sent: "
                "sides are 1 to 65535 pixels, and a payload has at least a byte"
            )
        if codec is Codec.RAW and length != width * height * 3:
            raise FrameError(f"{length} bytes are not a raw picture of {width}x{height}")
        if not self._admit(time.monotonic()):
            return
        self._send_payload(payload, codec, size_wh, captured_s)
        if self._core is not None:
            with self._lock:
                self._core.adaptation.frame_encoded(length, None, 1.0)

    def _admit(self, now_s: float) -> bool:
        """Whether to send the next picture; where not, it is counted as left out."""
        # Without the lock, as it changes nothing that the listening thread looks at.
        if self._core is None or self._core.adaptation.admit(now_s):
            return True
        with self._lock:
            self._core.adaptation.frame_left_out()
        self.stats.left_out += 1
        return False

    def _chosen(self) -> tuple[int, float]:
        """The quality and scale to send the next picture with."""
        if self._core is None:
            return self._quality, 1.0
        with self._lock:
            adaptation = self._core.adaptation
            return adaptation.quality or self._quality, adaptation.scale

    def _send_payload(
        self,
        payload: NDArray[np.uint8],
        codec: Codec,
        size_wh: tuple[int, int],
        captured_s: float,
    ) -> None:
        begun_s = time.monotonic()
        with self._frame_lock:
            if self._closing:
                raise AddressError(
                    f"the sender to {self.address} was closed: make another one to send more"
                )
            if self._error is not None:
                raise self._error
            if self._core is None:
                self._send_classic(payload, codec, size_wh)
            else:
                self._send_indexed(self._core, payload, codec, size_wh, captured_s)
            self._left_s = time.monotonic()
        self.stats.frames += 1
        self.stats.payload_bytes += len(payload)
        self.stats.send.add(self._left_s - begun_s)

    def close(self) -> None:
        """Say bye and close, after a frame that is being sent; more calls do nothing.

        A receiver that is there has a tenth of a second from the last frame on to ask for what
        it lacks of it.
        """
        self._closing = True
        self._linger()
        self._stopping = True
        if self._listener is not None:
            self._listener.join()
        with self._frame_lock, self._lock:
            if self._closed:
                return
            self._closed = True
            if self._core is not None:
                for _ in range(_BYES):
                    self._try_control(self._core.bye())
            self._socket.close()

    def _linger(self) -> None:
        """Let the listening thread answer for the last frame; after BYE nobody asks."""
        if not self._stopping and self.receiver_is_there:
            with self._frame_lock:
                until_s = self._left_s + LATENCY_BUDGET_S
            time.sleep(max(until_s - time.monotonic(), 0.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send_indexed(
        self,
        core: SenderCore,
        payload: NDArray[np.uint8],
        codec: Codec,
        size_wh: tuple[int, int],
        captured_s: float,
    ) -> None:
        with self._lock:
            now_s = time.monotonic()
            hello = core.hello_due(now_s)  # behind the frame it would wait in the link's queue
            if hello is not None:
                self._send_control(hello)
            frame, pace = core.packetize(payload, codec, size_wh, captured_s, now_s)
            if pace is None:
                self._send_last_burst(core, frame, 0)
                return
        count = len(frame)
        try:
            for start in paced(pace, count):
                end = min(start + pace.burst, count)
                with self._lock:  # between the bursts, what is asked for again can leave
                    if end < count:
                        self._send_burst(frame, start, end)
                    else:
                        self._send_last_burst(core, frame, start)
        finally:
            with self._lock:
                core.frame_sent(time.monotonic())  # half of it: but its number is used up

    def _send_last_burst(self, core: SenderCore, frame: OutgoingFrame, start: int) -> None:
        count, datagram_bytes = frame.datagrams.shape
        try:
            self._send_burst(frame, start, count)
        finally:
            core.frame_sent(time.monotonic())  # before any report of it can be heard
        self.stats.wire_bytes += count * datagram_bytes
        self.stats.parity_bytes += (count - frame.layout.chunks) * datagram_bytes

    def _send_burst(self, frame: OutgoingFrame, start: int, end: int) -> None:
        """Fill and send datagrams, first a system call's worth: the receiver begins with that."""
        a_call = self._socket.most_together(frame.datagrams.shape[1])
        upto = start + a_call
        while start < end:
            self._socket.send_all(frame.burst(start, min(upto, end)))
            start, upto = upto, upto + _FILLED_CALLS * a_call

    def _send_classic(
        self, payload: NDArray[np.uint8], codec: Codec, size_wh: tuple[int, int]
    ) -> None:
        if codec is not Codec.RAW:
            raise FrameError("the classic wire carries raw pictures only")
        geometry = ClassicGeometry(size_wh, self._classic_chunk_bytes)
        datagrams = packetize_classic(payload, geometry)
        pace = pace_frame(
            len(datagrams), len(datagrams[0]), STOCK_RECEIVE_BUFFER_BYTES, self._interval_s
        )
        with self._lock:
            for start in paced(pace, len(datagrams)):
                for datagram in datagrams[start : start + pace.burst]:
                    self._socket.send(datagram)
                    self.stats.wire_bytes += len(datagram)

    def _send_control(self, datagram: bytes) -> None:
        self._socket.send(datagram)
        self.stats.wire_bytes += len(datagram)

    def _try_control(self, datagram: bytes) -> None:
        """Send a control datagram if it can leave; where it cannot, `send` says why."""
        with contextlib.suppress(AddressError):
            self._send_control(datagram)

    def _send_repair(self, datagrams: NDArray[np.uint8]) -> None:
        with contextlib.suppress(AddressError):  # `send` says why, and the frame may do without
            self._socket.send_all(datagrams)
            self.stats.wire_bytes += datagrams.nbytes
            self.stats.repair_bytes += datagrams.nbytes

    def _listen(self, core: SenderCore) -> None:
        try:
            self._hear(core)
        except Exception as error:  # noqa: BLE001 - the next `send` raises it
            self._error = error

    def _hear(self, core: SenderCore) -> None:
        """Take in what the receiver says, and say hello while no frames are sent."""
        while not self._stopping:
            with self._lock:
                hello = core.hello_due(time.monotonic())
                if hello is not None:
                    self._try_control(hello)
                wait_s = core.next_hello_at - time.monotonic()
            self._socket.wait(min(max(wait_s, 0.0), _LISTEN_S))
            while not self._stopping and (datagram := self._socket.receive()) is not None:
                heard_s = time.monotonic()  # before the lock, which a burst may hold
                with self._lock:
                    core.receive(datagram, heard_s)
                    for datagrams in core.repairs():
                        self._send_repair(datagrams)


def _interval_s(fps: float | None) -> float | None:
    """Time between two frames, in seconds.

    Raises:
        FrameError: there is none.
    """
    if fps is not None and not fps > 0:
        raise FrameError(f"{fps} frames a second: give a number above 0")
    return None if fps is None else 1 / fps


def _fixed_percent(fec: Parity, *, adapt: bool) -> float | None:
    """Parity in percent; None where it follows the loss.

    Raises:
        ParityError: it is neither auto nor off nor a number.
    """
    if not isinstance(fec, str):
        return fec
    if fec not in {"auto", "off"}:
        raise ParityError(f"'{fec}' is no share of parity: give auto, off, or percent")
    return None if fec == "auto" and adapt else 0.0
