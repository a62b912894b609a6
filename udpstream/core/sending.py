"""The sender without its socket: frames and time in; datagrams, pace and hellos out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from udpstream.core.adaptation import Adaptation
from udpstream.core.clock import ClockEstimate, ClockFilter
from udpstream.core.fec import Fec
from udpstream.core.feedback import LinkObserver
from udpstream.core.histogram import RecentTimes
from udpstream.core.history import History
from udpstream.core.pacing import (
    STOCK_RECEIVE_BUFFER_BYTES,
    Pace,
    buffer_need,
    pace_frame,
)
from udpstream.core.packetize import OutgoingFrame, Packetizer
from udpstream.core.serial import unwrap
from udpstream.errors import DatagramError
from udpstream.protocol import (
    NO_ESTIMATE_US,
    Buffer,
    Bye,
    Codec,
    Hello,
    Nack,
    Report,
    Result,
    StageTimes,
    Welcome,
    pack_control,
    parse_control,
)

HELLO_PERIOD_S = 1.0
UNANSWERED_HELLO_PERIOD_S = 0.2  # so a receiver that starts later is found at once
FIRST_HELLO_PERIOD_S = 0.02  # a first few in a row: one of them meets no queue, as NTP's iburst
FIRST_HELLOS = 8
WELCOME_TIMEOUT_S = 5.0
RESULT_KEPT_S = 2.0  # an older one is of what the performer no longer does
_MOST_US = 0xFFFF_FFFF  # what the wire holds: 71 minutes


class SenderCore:
    """One indexed stream from its sender's side.

    Times are seconds that never fall; `wall_offset_s` added makes them Unix time.

    Attributes:
        frames_sent: frames that have left.
        interval_s: time between frames, as far as is known.
        adaptation: how good a picture is sent, how fast and with how much parity.
    """

    def __init__(
        self,
        *,
        epoch: int,
        session: int,
        datagram_bytes: int,
        interval_s: float | None,
        wall_offset_s: float,
        adaptation: Adaptation | None = None,
    ) -> None:
        self.frames_sent = 0
        self.adaptation = adaptation or Adaptation(quality=None, fec=Fec(0), enabled=False)
        self._epoch = epoch
        self._session = session
        self.interval_s = interval_s
        self._wall_offset_s = wall_offset_s
        self._packetizer = Packetizer(epoch, datagram_bytes)
        self._history = History(self._packetizer.reuse)
        self._observer = LinkObserver()
        # A frame that is leaving, when it began to, and whether the history has it already.
        self._leaving: tuple[OutgoingFrame, float, bool] | None = None
        self._repairs: list[NDArray[np.uint8]] = []
        self._capture, self._encode = RecentTimes(), RecentTimes()
        self._clock = ClockFilter()
        self._receive_buffer_bytes: int | None = None
        self._welcomed_at = -WELCOME_TIMEOUT_S
        self._welcomes = 0
        self._next_hello_at = 0.0
        self._result: tuple[Result, float] | None = None  # and when it came
        self._result_frame = -1  # which it was of, not cut

    @property
    def receiver_is_there(self) -> bool:
        """Whether a receiver has answered lately."""
        return self._receive_buffer_bytes is not None

    @property
    def clock_estimate(self) -> ClockEstimate | None:
        """The receiver's clock against ours, as far as is known."""
        return self._clock.best

    def result(self, now: float) -> Result | None:
        """What was said last of a frame of ours; None where that is too long ago."""
        if self._result is None or now - self._result[1] > RESULT_KEPT_S:
            return None
        return self._result[0]

    def note_stages(self, capture_s: float, encode_s: float) -> None:
        """Note how long a frame waited for its encoder, and how long that took, in seconds."""
        self._capture.add(capture_s)
        self._encode.add(encode_s)

    def packetize(
        self,
        payload: NDArray[np.uint8],
        codec: Codec,
        size_wh: tuple[int, int],
        captured: float,
        now: float,
    ) -> tuple[OutgoingFrame, Pace | None]:
        """The next frame's datagrams, and how fast they may leave: None is all at once.

        Call `frame_sent` when they have left.

        Args:
            payload: `(length,)` uint8; not to be changed until they have left.
            codec: how it encodes the picture.
            size_wh: width and height in pixels.
            captured: when it was captured, in seconds on this core's clock.
            now: likewise.

        Raises:
            FrameError: the frame does not fit the wire.
        """
        adaptation = self.adaptation
        frame = self._packetizer.packetize(
            payload, codec, size_wh, self.frames_sent, self._clock_us(captured),
            adaptation.parity if adaptation.wants_parity else None,
        )  # fmt: skip
        rate = adaptation.rate_bytes_per_s
        buffer_bytes = self._receive_buffer_bytes or STOCK_RECEIVE_BUFFER_BYTES
        count, datagram_bytes = frame.datagrams.shape
        if rate is None and buffer_need(count, datagram_bytes) <= buffer_bytes:
            self._leaving = frame, now, False
            return frame, None
        pace = pace_frame(count, datagram_bytes, buffer_bytes, self._sent_interval_s(), rate)
        # It can be asked for, and reported of, while it leaves.
        self._leaving = frame, now, True
        self._keep(frame, now)
        self._note_departure(frame, now, now + pace.takes_s(count))
        return frame, pace

    def frame_sent(self, now: float) -> None:
        """Note that the latest frame's datagrams have left; more calls do nothing."""
        if self._leaving is None:
            return
        frame, begun, is_kept = self._leaving
        self._leaving = None
        if not is_kept:
            self._keep(frame, begun)
        self._note_departure(frame, begun, now)
        self.frames_sent += 1

    def repairs(self) -> list[NDArray[np.uint8]]:
        """What was asked for again since the last call: datagrams, `(n, D)` uint8 each."""
        repairs, self._repairs = self._repairs, []
        return repairs

    def receive(self, datagram: Buffer, now: float) -> None:
        """Take a datagram from the receiver; what is not for us is ignored."""
        try:
            message = parse_control(datagram)
        except DatagramError:
            return
        if message.epoch != self._epoch:
            return
        match message:
            case Welcome():
                self._welcome(message, now)
            case Bye():
                self._forget_receiver()
            case Report():
                sample = self._observer.report(message, now)
                if sample is not None:
                    self.adaptation.sample(sample, now)
            case Nack():
                self._answer(message)
            case Result():
                self._take_result(message, now)
            case Hello():  # not for a sender
                pass

    def _welcome(self, welcome: Welcome, now: float) -> None:
        self._clock.add(welcome.echo_us, welcome.received_us, welcome.sent_us, self._clock_us(now))
        self._receive_buffer_bytes = welcome.receive_buffer_bytes
        self._welcomed_at = now
        self._welcomes += 1
        if self._welcomes == 1:  # tell it the clock offset at once
            self._next_hello_at = now

    def _answer(self, nack: Nack) -> None:
        """Get ready what is asked for: no more at once than half the receiver's buffer holds.

        The rest is asked for again, when this has been read.
        """
        buffer_bytes = self._receive_buffer_bytes or STOCK_RECEIVE_BUFFER_BYTES
        room_bytes = buffer_bytes // 2
        for ask in nack.asks:
            answer = self._history.answer(ask, room_bytes)
            if answer is not None:
                self._repairs.append(answer)
                room_bytes -= buffer_need(*answer.shape)
            if room_bytes <= 0:
                return

    def hello_due(self, now: float) -> bytes | None:
        """The HELLO to send now, or None while none is due.

        None is in the midst of a frame: it tells how many frames have left whole.
        """
        if now < self._next_hello_at or self._leaving is not None:
            return None
        if now - self._welcomed_at > WELCOME_TIMEOUT_S:
            self._forget_receiver()
        self._next_hello_at = now + self._hello_period_s()
        clock = self._clock.best
        return pack_control(
            Hello(
                epoch=self._epoch,
                session=self._session,
                clock_us=self._clock_us(now),
                next_frame=self.frames_sent,
                interval_us=min(round((self._sent_interval_s() or 0) * 1e6), _MOST_US),
                offset_us=clock.offset_us if clock else 0,
                offset_error_us=clock.error_us if clock else NO_ESTIMATE_US,
                capture=_stage_times(self._capture),
                encode=_stage_times(self._encode),
            )
        )

    @property
    def next_hello_at(self) -> float:
        """When `hello_due` has something to send next; infinity in the midst of a frame."""
        return math.inf if self._leaving is not None else self._next_hello_at

    def bye(self) -> bytes:
        """The BYE to send, three times, when all frames have left."""
        return pack_control(Bye(self._epoch, self.frames_sent))

    def _take_result(self, result: Result, now: float) -> None:
        frame = unwrap(result.frame, 32, self.frames_sent)
        # The latest may have left already, though we do not know it; none after it has.
        is_next = self._result_frame < frame <= self.frames_sent
        if is_next and self.receiver_is_there:  # it may have said BYE meanwhile
            self._result, self._result_frame = (result, now), frame

    def _keep(self, frame: OutgoingFrame, begun: float) -> None:
        self._history.add(self.frames_sent, frame, begun)
        if not self.receiver_is_there:
            self._history.clear()

    def _note_departure(self, frame: OutgoingFrame, begun: float, left: float) -> None:
        self._observer.frame_left(
            self.frames_sent, len(frame), self._clock_us(begun), self._clock_us(left)
        )

    def _sent_interval_s(self) -> float | None:
        """Time between the frames that are sent, where some are left out."""
        return self.interval_s and self.interval_s * self.adaptation.fps_divisor

    def _hello_period_s(self) -> float:
        if not self.receiver_is_there:
            return UNANSWERED_HELLO_PERIOD_S
        return FIRST_HELLO_PERIOD_S if self._welcomes < FIRST_HELLOS else HELLO_PERIOD_S

    def _forget_receiver(self) -> None:
        self._welcomes = 0
        self._receive_buffer_bytes = None
        self._result = None
        self._clock.clear()
        self._observer.clear()
        self.adaptation.restart()

    def _clock_us(self, now: float) -> int:
        return round((now + self._wall_offset_s) * 1e6)


def _stage_times(recent: RecentTimes) -> StageTimes:
    times_us = [round(seconds * 1e6) for seconds in recent.percentiles(50, 95, 99)]
    return StageTimes(*(min(max(each, 0), _MOST_US) for each in times_us))
