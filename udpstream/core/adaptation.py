"""What a sender changes as its link changes: pace, parity, quality, size, frame rate.

In this order, and each only where the one before does not do. Loss by chance asks for
parity and never for a worse picture; congestion asks for spread frames, then for less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from udpstream.core.congestion import Phase, RateControl
from udpstream.core.fec import Fec
from udpstream.core.feedback import LinkSample
from udpstream.core.pacing import SPREAD
from udpstream.core.picture import Limits, PictureFit
from udpstream.core.rate import RateMeter
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, HEADER_BYTES, MAX_CHUNKS_PER_BLOCK

_BLOCK_CHUNKS = MAX_CHUNKS_PER_BLOCK // 2
_LEAST_FILL_PERCENT = 50  # of parity that a trial must be free to use: it sends half as much more


@dataclass(frozen=True, slots=True)
class AdaptationState:
    """What the sender does now, for those who show it.

    Attributes:
        phase: how frames leave.
        quality: JPEG quality; None where there is none to choose.
        scale: of the picture's sides.
        fps_divisor: each so-many-th frame is sent.
        rate_bytes_per_s: that the link is known to hold; None = no limit was met.
        parity_percent: parity chunks for each hundred data chunks of a frame as they are now.
        loss: share of the datagrams that are lost by chance, 0 to 1.
    """

    phase: Phase
    quality: int | None
    scale: float
    fps_divisor: int
    rate_bytes_per_s: float | None
    parity_percent: float
    loss: float


class Adaptation:
    """Holds the knobs of one stream, and turns them."""

    def __init__(
        self,
        *,
        quality: int | None,
        fec: Fec | None = None,
        limits: Limits | None = None,
        enabled: bool = True,
        resizable: bool = True,
        datagram_bytes: int = DEFAULT_DATAGRAM_BYTES,
    ) -> None:
        """Begin with the best picture, at once, and without parity that nothing asks for.

        Args:
            quality: JPEG quality, 1 to 100; None where frames are raw, or come encoded.
            fec: how much parity; as much as the loss asks for, if not told.
            limits: how far it may go.
            enabled: whether it may change anything beside parity, which `fec` decides.
            resizable: whether frames can be made smaller before they are sent.
            datagram_bytes: largest datagram.
        """
        self._fec = fec or Fec()
        self._fills = self._fec.is_auto and self._fec.max_percent >= _LEAST_FILL_PERCENT
        self._limits = limits or Limits()
        self._enabled = enabled
        self._picture = PictureFit(quality, self._limits, resizable=resizable)
        self._rate = RateControl(fills=self._fills)
        self._meter = RateMeter()
        self._captured_at = 0.0
        self._latest_fps: float | None = None
        self._captured = 0
        self._datagram_bytes = datagram_bytes

    @property
    def quality(self) -> int | None:
        """The JPEG quality to encode the next frame with; None where there is none to choose."""
        return self._picture.quality

    @property
    def scale(self) -> float:
        """What to multiply the picture's sides with, 1 or less."""
        return self._picture.scale

    @property
    def fps_divisor(self) -> int:
        """Each so-many-th frame is sent."""
        return self._picture.fps_divisor

    @property
    def rate_bytes_per_s(self) -> float | None:
        """How fast a frame may leave, in UDP payload; None = at once."""
        limit = self._limits.max_rate_bytes_per_s
        if self._rate.phase is Phase.OPEN or not self._enabled:
            return limit
        rate = self._bare_rate()
        if self._rate.target is not None:
            rate = self._rate.target * self._rate.trial
        if rate is None:
            return limit
        return min(rate / SPREAD, limit or math.inf)

    @property
    def state(self) -> AdaptationState:
        """What it does now."""
        picture = self._picture
        data = self._block(self._chunks(picture.frame_bytes or 0))
        return AdaptationState(
            phase=self._rate.phase,
            quality=picture.quality,
            scale=picture.scale,
            fps_divisor=picture.fps_divisor,
            rate_bytes_per_s=self._rate.target,
            parity_percent=100 * self.parity(data) / data,
            loss=self._fec.loss,
        )

    def admit(self, now: float) -> bool:
        """Whether a frame that was captured is to be encoded and sent.

        Args:
            now: in seconds; to be called once for each frame captured. `frame_encoded` is to
                follow, or `frame_left_out`: this alone changes nothing that others look at.
        """
        self._captured += 1
        self._captured_at = now
        return self._captured % self._picture.fps_divisor == 0

    def frame_left_out(self) -> None:
        """Note that the frame that was not admitted is left out."""
        self._meter.add(self._captured_at)

    def frame_encoded(self, payload_bytes: int, quality: int | None, scale: float) -> None:
        """Learn how large a frame became.

        Args:
            payload_bytes: of the frame.
            quality: that it was encoded with.
            scale: that its sides were multiplied with.
        """
        self._meter.add(self._captured_at)  # now, when nobody waits for it
        self._picture.encoded(payload_bytes, quality, scale)
        self._fit()

    def sample(self, sample: LinkSample, now: float) -> None:
        """Learn from the link, and turn what has to be turned; `now` in seconds."""
        if not self._enabled:
            self._fec.sample(sample, now)
            return
        phase = self._rate.phase
        full_bytes = self._picture.full_bytes
        full_rate = None
        fps = self._captured_fps()
        if full_bytes is not None and fps is not None:
            full_rate = self._wire_bytes(full_bytes) * fps
        by_chance = self._rate.sample(
            sample,
            now,
            usual_loss=self._fec.loss,
            interval_s=self._picture.fps_divisor / fps if fps else None,
            full_rate=full_rate,
        )
        if by_chance:
            self._fec.sample(sample, now)
        elif self._rate.phase is not phase:
            self._fec.clear()  # what it learned last was no chance
        self._fit()

    @property
    def wants_parity(self) -> bool:
        """Whether `parity` may be more than 0."""
        return self._fec.is_on or self._rate.trial > 1

    def parity(self, data: int) -> int:
        """How many parity chunks a block of `data` data chunks is to get, room or not."""
        wanted = self._fec.parity(data)
        trial, target = self._rate.trial, self._rate.target
        if trial > 1 and self._fills and target and (bare_rate := self._bare_rate()):
            fill = math.ceil(data * (trial * target / bare_rate - 1))
            most = math.floor(data * self._fec.max_percent / 100)
            wanted = max(wanted, min(fill, most))
        return wanted

    def restart(self) -> None:
        """Begin anew: the receiver is gone, and another may come on another link."""
        self._rate.clear()
        self._fec.clear()
        self._picture.reset()
        self._fit()

    def describe(self) -> str:
        """What is not as the user chose it, and why, in a few words; empty if all is."""
        state, changes, notes = self.state, [], []
        if state.quality != self._picture.best_quality:
            changes.append(f"quality {self._picture.best_quality} -> {state.quality}")
        if state.scale != 1:
            changes.append(f"{100 * state.scale:g} % of the size")
        if state.fps_divisor != 1:
            changes.append(f"one frame in {state.fps_divisor}")
        if state.rate_bytes_per_s is not None:
            changes.append(f"the link holds {state.rate_bytes_per_s * 8e-6:.1f} Mbit/s")
        elif changes:
            limit = self._limits.max_rate_bytes_per_s or math.inf
            changes.append(f"to stay within {limit * 8e-6:.1f} Mbit/s")
        elif state.phase is Phase.SPREAD:
            changes.append("frames are spread: at once they overran the link")
        if changes:
            *what, why = changes
            notes.append(f"{', '.join(what)}: {why}" if what else why)
        if state.loss > 0 and state.parity_percent > 0:
            notes.append(
                f"{state.parity_percent:.0f} % parity against {100 * state.loss:.1f} % loss"
            )
        return "; ".join(notes)

    def _captured_fps(self) -> float | None:
        """Frames captured a second; computed when it is asked for, and not with each frame."""
        self._latest_fps = self._meter.per_second(self._meter.latest) or self._latest_fps
        return self._latest_fps

    def _fit(self) -> None:
        rate = self._limits.max_rate_bytes_per_s or math.inf
        if self._enabled and self._rate.target is not None:
            # A trial is filled up with parity if it may be, and else with a better picture.
            rate = min(rate, self._rate.target * (1.0 if self._fills else self._rate.trial))
        if rate == math.inf or not self._enabled or (fps := self._captured_fps()) is None:
            self._picture.reset()
            return
        frame_bytes = self._picture.frame_bytes
        if frame_bytes:
            self._picture.fit(rate * frame_bytes / self._wire_bytes(frame_bytes), fps)

    def _bare_rate(self) -> float | None:
        """Bytes a second of the picture as it is chosen now, without parity."""
        frame_bytes, fps = self._picture.frame_bytes, self._captured_fps()
        if frame_bytes is None or fps is None:
            return None
        wire_bytes = frame_bytes + self._chunks(frame_bytes) * HEADER_BYTES
        return wire_bytes * fps / self._picture.fps_divisor

    def _chunks(self, payload_bytes: float) -> int:
        return max(1, math.ceil(payload_bytes / (self._datagram_bytes - HEADER_BYTES)))

    def _wire_bytes(self, payload_bytes: float) -> float:
        """UDP payload of a frame, with headers and the parity that loss asks for."""
        chunks = self._chunks(payload_bytes)
        data = self._block(chunks)
        return (1 + self._fec.parity(data) / data) * (payload_bytes + chunks * HEADER_BYTES)

    def _block(self, chunks: int) -> int:
        """Data chunks in each block of a frame, about: they leave room for as much parity."""
        return -(-chunks // -(-chunks // _BLOCK_CHUNKS))
