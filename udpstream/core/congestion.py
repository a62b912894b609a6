"""How fast the link lets us send: all at once, spread, or no faster than a rate.

Loss alone is no congestion: radio loses datagrams at any rate, and sending less does not
help. It is congestion where a queue stands on the way in sample after sample, or where
more is lost than any link would be used with. Then frames are first spread over their
interval; if that does not help, the rate is cut to what came through.

Upwards it goes by trials: for half a second more is sent than the rate, filled up with
parity, so that a trial which the link does not stand repairs what it broke (Nagy et al.,
Congestion Control using FEC for Conversational Multimedia Communication, 2014).

What the constants below do on tests/adaptation_tools.py's plant, three seeds each, parity
alone, the worst of 15, 30 and 60 fps; a queue of ten datagrams, and one of 100 ms:

    limit, of the stream       last broken frame      whole from 3 s on     back after lifting
    0.9                        1.7 s     2.1 s        100 %     100 %       1.9 s     4.5 s
    0.5                        1.3 s     1.3 s        100 %     100 %       2.5 s     4.3 s
    0.25                       1.3 s     1.3 s        100 %     100 %       7.1 s     5.9 s
    0.5, pauses, 1 % loss          -         -        99.6 %    99.6 %      5.5 s     8.7 s
    0.25, 5 % loss                 -         -        99.7 %    99.7 %      7.9 s     7.9 s
"""

from __future__ import annotations

import enum
import math
from collections import deque

from udpstream.core.feedback import LinkSample

_CONFIRM = 2  # samples in a row, 0.4 s: Wi-Fi's pauses of 20 to 30 ms seldom meet two
_SETTLE_S = 0.4  # after a step: frames under way, and two reports of the time before it
_MOST_SETTLE_S = 1.0  # more, for a queue that long
_CUT = 0.85  # of what came through: the rest empties the queue
_DEEPEST_CUT = 0.5  # where a second's worth waits: it is gone in another second

_STANDING_QUEUE_S = 0.04  # more than a pause of Wi-Fi; a bad queue is 100 ms and more
_FULL_QUEUE_S = 0.01  # where datagrams are lost as well: seven of them at 1 MB/s
_EMPTYING = 0.95  # of what it was a report ago
_STANDING_SHARE = 0.5  # of the interval, where that is more: at few frames a second, all of
_FULL_SHARE = 0.25  # these times are longer, and so is what is not known about them
_JITTERS = 3.0  # a queue must stand out of what comes and goes
_MOST_JITTER_S = 0.06
_HOPELESS_QUEUE_S = 0.12  # several frames: spreading them would not do
_EXTRA_LOSS = 0.02  # beyond what is lost by chance
_UNUSABLE_LOSS = 0.25  # for sure, that is 30 % or so of a sample's 200 datagrams
_BURST_SHARE = 0.75  # of the interval: a frame that leaves at once queues behind itself
_MOST_BURST_S = 0.04

_FIRST_TRIAL = 1.3  # from 0.85 of what came through to the most that is tried beyond it
_NEXT_TRIAL = 1.5  # when one has passed: back at four times the rate in five trials
_BEYOND = 1.1  # the rate at which congestion came: no further in the trial that passes it
_PASSED = 1.04  # of that rate: so much has to come through, or the link is only just full
_CREEP = 1.02  # by how much that rate is raised by a trial that was just full
_BELOW = 0.9  # of that rate: as far as trials lead that do not pass it
_TRIAL_S = 0.6
_TRIAL_LAG_S = 0.3  # of it: reports are of the time before
_TRIAL_PAUSE_S = 3.0  # after one that failed: the link is tried a seventh of the time
_QUIET_S = 1.0  # after a cut, before the first trial
_PROVEN = 1.05  # of what came through in a trial: two reports can miss a frame
_KEPT = 0.8  # of what came through in a trial that failed, where that is more than before
_UNPROVEN = 1.05  # growth where a trial could not be filled up

# The smallest picture at 5 frames a second; what says that less comes through is no link of ours.
_LEAST_BYTES_PER_S = 16e3

_FUTILE = 2  # cuts in a row that did not help: the loss is not for want of room
_HELPED = 0.8  # of the loss before the cut
_USABLE_LOSS = 0.15  # below, a link that lost more is taken for a usual one again

_FIRST_HOLD_S = 5.0  # how long frames stay spread when nothing asks for it any more
_MOST_HOLD_S = 160.0  # each time that it was too early, twice as long


class Phase(enum.Enum):
    """How frames leave."""

    OPEN = "open"
    SPREAD = "spread"
    LIMITED = "limited"


class RateControl:
    """Decides on spreading and on a rate, from samples of the link.

    Attributes:
        phase: how frames leave.
        target: bytes a second, in UDP payload, that the link is known to hold; None
            unless limited.
        trial: by how much more is being sent than that; 1 between trials.
    """

    def __init__(self, *, fills: bool = True) -> None:
        """Begin without a limit.

        Args:
            fills: whether a trial is filled up to what it is to send. A picture alone fills
                it roughly, so what comes through then proves less.
        """
        self._fills = fills
        self.clear()

    def clear(self) -> None:
        """Forget the link."""
        self._hold_s = _FIRST_HOLD_S
        self.phase = Phase.OPEN
        self.target: float | None = None
        self.trial = 1.0
        self._samples: deque[LinkSample] = deque(maxlen=_CONFIRM + 1)  # since the last step
        self._suspect = 0
        self._queue_s = 0.0
        self._settled_at = -math.inf
        self._quiet_since = -math.inf
        self._opened_at = -math.inf
        self._trial_at = -math.inf
        self._trial_end = -math.inf
        self._next_trial = _FIRST_TRIAL
        self._ceiling = math.inf  # the rate at which congestion came
        self._loss_before = 0.0  # the latest cut
        self._futile = 0
        self._loses_anyway = False

    def sample(
        self,
        sample: LinkSample,
        now: float,
        *,
        usual_loss: float,
        interval_s: float | None,
        full_rate: float | None,
    ) -> bool:
        """Take a sample.

        Args:
            sample: of the link.
            now: in seconds.
            usual_loss: share of the datagrams that are lost by chance.
            interval_s: between frames that are sent, where it is known.
            full_rate: bytes a second of the best picture; None = not known.

        Returns:
            Whether what was lost was lost by chance.
        """
        before_s, self._queue_s = self._queue_s, sample.queue_s or 0.0
        if now < self._settled_at:
            return False
        self._samples.append(sample)
        self._loses_anyway = self._loses_anyway and sample.loss > _USABLE_LOSS
        if self.trial > 1:
            self._try(sample, now, usual_loss, interval_s or 0.0)
            return False  # it may be for the trial
        if self._is_congested(sample, before_s, usual_loss, interval_s or 0.0):
            self._suspect += 1
            if self._suspect >= _CONFIRM:
                self._step_down(sample, now)
            return False
        if sample.queue_s is None and _sure_loss(sample) > usual_loss + _EXTRA_LOSS:
            return False  # it may be either
        self._suspect = 0
        self._recover(now, full_rate)
        return True

    def _is_congested(
        self, sample: LinkSample, before_s: float, usual_loss: float, interval_s: float
    ) -> bool:
        queue_s = sample.queue_s or 0.0
        if sample.kernel_dropped:
            return True
        if _sure_loss(sample) > _UNUSABLE_LOSS and not self._loses_anyway:
            return True
        noise_s = min(_JITTERS * sample.jitter_s, _MOST_JITTER_S)
        if self.phase is Phase.OPEN:
            noise_s += min(_BURST_SHARE * interval_s, _MOST_BURST_S)
        if _sure_loss(sample) > usual_loss + _EXTRA_LOSS:
            return queue_s > max(_FULL_QUEUE_S, _FULL_SHARE * interval_s, noise_s)
        is_emptying = queue_s < _EMPTYING * before_s
        stands = queue_s > max(_STANDING_QUEUE_S, _STANDING_SHARE * interval_s, noise_s)
        return stands and not is_emptying

    def _step_down(self, sample: LinkSample, now: float) -> None:
        queue_s = sample.queue_s or 0.0
        if self.phase is Phase.OPEN and queue_s < _HOPELESS_QUEUE_S:
            if now - self._opened_at < self._hold_s:
                self._hold_s = min(2 * self._hold_s, _MOST_HOLD_S)
            self.phase = Phase.SPREAD
        elif self._cuts_are_futile():
            self._loses_anyway = True
            self.phase = Phase.SPREAD
            self.target = None
        else:
            share = min(_CUT, max(_DEEPEST_CUT, 1 - queue_s))
            self._ceiling = self._came_bytes_per_s()
            cut = share * self._ceiling
            self.phase = Phase.LIMITED
            target = min(cut, share * self.target) if self.target else cut
            self.target = max(target, _LEAST_BYTES_PER_S)
            self._next_trial = _FIRST_TRIAL
            self._trial_at = now + _SETTLE_S + _QUIET_S
        self._settle(now, queue_s)

    def _cuts_are_futile(self) -> bool:
        """Whether one cut after another left the loss as it was, and no queue to explain it."""
        loss = sum(each.loss for each in self._samples) / len(self._samples)
        explained = any(
            each.kernel_dropped or (each.queue_s or 0.0) > _FULL_QUEUE_S for each in self._samples
        )
        is_futile = (
            self.target is not None
            and not explained
            and (loss > max(_USABLE_LOSS, _HELPED * self._loss_before))
        )
        self._loss_before = loss
        self._futile = self._futile + 1 if is_futile else 0
        return self._futile >= _FUTILE

    def _came_bytes_per_s(self) -> float:
        came_in_s = sum(each.span_s for each in self._samples)
        came = sum(each.wire_bytes for each in self._samples) / came_in_s
        return max(came, _LEAST_BYTES_PER_S)

    def _recover(self, now: float, full_rate: float | None) -> None:
        if self.phase is Phase.SPREAD:
            if now - self._quiet_since >= self._hold_s:
                self.phase = Phase.OPEN
                self._opened_at = now
        elif self.phase is Phase.LIMITED:
            assert self.target is not None
            if full_rate is not None and self.target >= full_rate:
                self.phase = Phase.SPREAD
                self.target = None
                self._quiet_since = now
            elif now >= self._trial_at:
                beyond = _BEYOND * self._ceiling / self.target
                self.trial = max(_UNPROVEN, min(self._next_trial, beyond))
                self._trial_end = now + _TRIAL_S
                self._settled_at = now + _TRIAL_LAG_S
                self._samples.clear()

    def _try(self, sample: LinkSample, now: float, usual_loss: float, interval_s: float) -> None:
        assert self.target is not None
        noise_s = min(_JITTERS * sample.jitter_s, _MOST_JITTER_S)
        is_known = sample.queue_s is not None or now >= self._trial_end + _TRIAL_S
        if is_known:
            most_s = max(_FULL_QUEUE_S, _FULL_SHARE * interval_s, noise_s)
            self._suspect = self._suspect + 1 if (sample.queue_s or 0.0) > most_s else 0
        loses = _sure_loss(sample) > usual_loss + _EXTRA_LOSS
        if sample.kernel_dropped or loses or self._suspect >= _CONFIRM:
            proven = min(_KEPT * self._came_bytes_per_s(), self.trial * self.target)
            self.target = max(self.target, proven)
            self._ceiling = max(self.target, min(self._ceiling, self._came_bytes_per_s() / _BELOW))
            self._next_trial = _FIRST_TRIAL
            self._trial_at = now + _TRIAL_PAUSE_S
            self._settle(now, sample.queue_s or 0.0)
        elif now >= self._trial_end and is_known and not self._suspect:
            came = self._came_bytes_per_s()
            if came > _PASSED * self._ceiling or not self._fills:
                self._ceiling = math.inf
            elif self.trial * self.target > self._ceiling:
                self._ceiling *= _CREEP
            proven = max(_UNPROVEN * self.target, _PROVEN * came)
            highest = max(self.target, _BELOW * self._ceiling)
            self.target = min(self.trial * self.target, proven, highest)
            self._next_trial = _NEXT_TRIAL
            self._trial_at = now
            self.trial = 1.0

    def _settle(self, now: float, queue_s: float) -> None:
        """Wait until reports tell of what was just decided: it queues behind the rest."""
        self.trial = 1.0
        self._settled_at = self._quiet_since = now + _SETTLE_S + min(queue_s, _MOST_SETTLE_S)
        self._suspect = 0
        self._samples.clear()


def _sure_loss(sample: LinkSample) -> float:
    """The share lost, less two deviations: few datagrams prove little."""
    loss = min(sample.loss, 1.0)
    return loss - 2 * math.sqrt(loss * (1 - loss) / max(sample.expected, 1))
