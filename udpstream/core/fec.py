"""How many parity chunks a block gets: none, a fixed share, or what the link's loss asks for.

Of n = k + m chunks that are lost with chance p, in runs of L on average, n·p are lost,
give or take a deviation sqrt(n·p·(1 - p)·v): v is 1 for independent losses, whose runs
are 1 / (1 - p) long, and 2·L·(1 - p) - 1 on a link of two states. m is n·p and 2.6
deviations. Of blocks this leaves about one in two hundred to be asked for again, in
percent at independent loss (tests/test_fec.py computes it):

       loss    k + m
      0.3 %    10+2 0.001   30+2 0.01   50+2 0.05   100+2  0.37   200+3  0.35
        1 %    10+2 0.02    30+2 0.40   50+3 0.20   100+4  0.41   200+6  0.50
        5 %    10+3 0.31    30+6 0.18   50+8 0.22   100+12 0.40   200+20 0.37
       10 %    10+5 0.23    30+9 0.42   50+13 0.33  100+21 0.42   200+36 0.41

With 2.3 deviations it would be up to one in a hundred, for a chunk less. Runs of eight at
5 % leave 3 in 100 blocks of 40.
"""

from __future__ import annotations

import math
from collections import deque

from udpstream.core.feedback import LinkSample
from udpstream.errors import ParityError

DEFAULT_MAX_PERCENT = 100  # 20 % loss asks for 55 % of 30 chunks, and for 90 % of ten

_DEVIATIONS = 2.6
_LEAST = 2  # where there is any: one is lost too easily with what it stands for
_FAST_S = 1.0  # five reports: at 5 % loss of 1,200 datagrams it is off by 0.6 %
_SLOW_S = 10.0  # between two bursts of a bad quarter of a minute, parity stays
_MAX_SAMPLES = 256  # in those 10 s: a sample is 0.05 s or longer
_LONGEST_RUN = 16  # what a run counts as at most: a longer one is an outage, for repairs
_ON = 0.001  # a lost datagram in thirty frames: below, asking again is cheaper
_OFF = 0.0005  # of all in 10 s


class Fec:
    """Decides how much parity; where it follows the loss, it rises at once and falls slowly.

    Attributes:
        is_on: whether there is any.
    """

    def __init__(
        self, percent: float | None = None, *, max_percent: float = DEFAULT_MAX_PERCENT
    ) -> None:
        """Set the policy.

        Args:
            percent: parity chunks for each hundred data chunks, 0 for none, or None: as
                many as the loss asks for.
            max_percent: no more than that, where the loss decides; but two, if any.

        Raises:
            ParityError: a share is below 0, or no number.
        """
        for share in (0 if percent is None else percent, max_percent):
            if not 0 <= share < math.inf:
                raise ParityError(f"{share} percent of parity: give 0 or more")
        self._percent = percent
        self._max_percent = max_percent
        self.clear()

    @property
    def is_auto(self) -> bool:
        """Whether parity follows the loss."""
        return self._percent is None

    @property
    def max_percent(self) -> float:
        """The ceiling where parity follows the loss."""
        return self._max_percent

    @property
    def loss(self) -> float:
        """The share of datagrams that are lost by chance, 0 to 1, as parity reckons with it."""
        return self._loss

    def clear(self) -> None:
        """Forget the losses so far."""
        self._samples: deque[tuple[float, LinkSample]] = deque(maxlen=_MAX_SAMPLES)
        self._loss = 0.0
        self._spread = 1.0  # v, above
        self.is_on = self._percent is not None and self._percent > 0

    def sample(self, sample: LinkSample, now: float) -> None:
        """Learn from what was lost by chance; keep from it what was lost to a full queue."""
        samples = self._samples
        samples.append((now, sample))
        while now - samples[0][0] >= _SLOW_S:
            samples.popleft()
        slow = [each for _, each in samples]
        fast = [each for at, each in samples if now - at < _FAST_S]
        slow_loss, fast_loss = _share(slow), _share(fast)
        runs = sum(each.runs for each in slow)
        mean_run = _lost(slow) / runs if runs else 1.0
        self._spread = max(1.0, 2 * mean_run * (1 - slow_loss) - 1)
        self._loss = max(slow_loss, fast_loss, self._surely([sample]))
        if not self.is_auto:
            return
        if self.is_on:
            self.is_on = self._loss >= _OFF
        elif self._max_percent > 0:
            self.is_on = max(self._surely(fast), self._surely(slow)) >= _ON

    def parity(self, data: int) -> int:
        """How many parity chunks a block of `data` data chunks is to get.

        It may be more than the block has room for: then smaller blocks are wanted.
        """
        if not self.is_on:
            return 0
        if self._percent is not None:
            wanted = math.ceil(data * self._percent / 100)
        else:
            most = math.floor(data * self._max_percent / 100)
            wanted = min(self._against_loss(data), most)
        return max(wanted, _LEAST)

    def _against_loss(self, data: int) -> int:
        loss = min(self._loss, 0.99)
        deviation = _DEVIATIONS * math.sqrt(loss * (1 - loss) * self._spread)
        # n - n·p - deviation·sqrt(n) = k, a quadratic equation in sqrt(n)
        root = (deviation + math.sqrt(deviation**2 + 4 * (1 - loss) * data)) / (2 * (1 - loss))
        return math.ceil(root**2 - data - 1e-9)

    def _surely(self, samples: list[LinkSample]) -> float:
        """The share lost, less one deviation: a lone datagram lost proves nothing."""
        expected, lost = sum(each.expected for each in samples), _lost(samples)
        return max(0.0, lost - math.sqrt(lost * self._spread)) / expected if expected else 0.0


def _share(samples: list[LinkSample]) -> float:
    """The share of all of their datagrams that was lost."""
    expected = sum(each.expected for each in samples)
    return min(_lost(samples) / expected, 1.0) if expected else 0.0


def _lost(samples: list[LinkSample]) -> int:
    """How many were lost, outages counted as long runs."""
    return max(0, sum(min(each.lost, _LONGEST_RUN * each.runs) for each in samples))
