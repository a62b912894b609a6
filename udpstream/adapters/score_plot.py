"""``result.png``: a session on one page.

    +--------------------------------------+
    | 78  CORRECT STEPS  great             |   what it came to
    | score  ~~~~~~~..~~~~~~~~~~~~~~~~~~~ |   over time, with the score to pass
    | limbs  ============================= |   a row each, by how far it was off
    | [picture] [picture] [picture] ...    |   the worst moments
    +--------------------------------------+

What is kept of a session is bounded, however long it lasts. Matplotlib draws, which
MediaPipe brings along; it is loaded when it is wanted.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.adapters.codec import decode, encode
from udpstream.adapters.pose_overlay import draw_limbs, draw_reference, limb_stroke
from udpstream.adapters.score_words import lag_words
from udpstream.core.jpeg import jpeg_size
from udpstream.core.pose.scale import PASS_SCORE, grade_of, verdict_of
from udpstream.core.pose.tally import WORST_MOMENTS, Summary, Tally
from udpstream.errors import PoseError
from udpstream.protocol import Codec
from udpstream.scored import Scored
from udpstream.scoring import CORRECT, LIMBS

MAX_BINS = 2048

_FIRST_BIN_S = 0.2
_PICTURE_WH = 480, 360
_PICTURE_QUALITY = 85

_SIZE_IN = 12.0, 9.0
_DOTS_PER_IN = 110
_EDGE, _LEFT, _RIGHT = 0.03, 0.125, 0.945  # of the page's width
_MOST_DEG = 60.0  # the end of the colours
_FIRST_UNKNOWN = "\u0530"  # behind Latin, Greek and Cyrillic
_GOOD, _BAD, _INK, _SOFT, _EMPTY = "#178a4c", "#c6283a", "#22262b", "#6b7280", "#e8eaee"


class Curves:
    """Score and limb errors over time, as means over bins of equal length.

    Where there would be more than MAX_BINS, they become twice as long.

    Attributes:
        bin_s: how long one is.
    """

    def __init__(self) -> None:
        self.bin_s = _FIRST_BIN_S
        self._sums = np.zeros((MAX_BINS, 1 + len(LIMBS)))
        self._counts = np.zeros((MAX_BINS, 1 + len(LIMBS)), np.int64)
        self._used = 0

    def add(self, scored: Scored) -> None:
        """Count a frame in, scored or not."""
        result = scored.result
        place = int(max(scored.time_s, 0.0) / self.bin_s)
        while place >= MAX_BINS:
            self._halve()
            place = int(scored.time_s / self.bin_s)
        self._used = max(self._used, place + 1)
        values = (result.score, *(result.limbs_deg[limb] for limb in LIMBS))
        for column, value in enumerate(values):
            if value is not None:
                self._sums[place, column] += value
                self._counts[place, column] += 1

    def means(self) -> NDArray[np.float64]:
        """Return `(n, 10)`: of each bin, the score and LIMBS in degrees; NaN: not known."""
        counts = self._counts[: self._used]
        means = self._sums[: self._used] / np.maximum(counts, 1)
        return np.where(counts > 0, means, np.nan)

    def _halve(self) -> None:
        """Make one of two bins."""
        for column in (self._sums, self._counts):
            pairs = column[0::2] + column[1::2]
            column[: len(pairs)], column[len(pairs) :] = pairs, 0
        self._used = -(-self._used // 2)
        self.bin_s *= 2


@dataclass(frozen=True, slots=True)
class Worst:
    """One of the worst moments.

    Attributes:
        time_s: when.
        score: 0 to 100.
        hint: what was off; "" where nothing stood out.
        jpeg: the picture, small, with the pose and the reference's.
    """

    time_s: float
    score: float
    hint: str
    jpeg: bytes


class WorstMoments:
    """Keeps the pictures of the moments that the summary calls the worst."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._kept: dict[float, Worst] = {}
        # While a score falls each frame is worse than the one before: drawn is the last one.
        self._latest: Scored | None = None

    def add(self, scored: Scored) -> None:
        """Look whether a frame is among the worst, and keep its picture then."""
        score = scored.result.score
        if score is None:
            return
        self._tally.add(scored.time_s, score, None, {}, correct=False)
        if scored.time_s in self._worst_s():
            self._draw_latest()
            self._latest = scored

    def all(self) -> list[Worst]:
        """Return them in the order of their times."""
        self._draw_latest()
        return [self._kept[time_s] for time_s in sorted(self._kept)]

    def _worst_s(self) -> set[float]:
        summary = self._tally.summary(lag_s=None, mirrored=False)
        return {moment.time_s for moment in summary.worst}

    def _draw_latest(self) -> None:
        """Draw the latest of them, unless a worse one has taken its place; forget others."""
        scored, self._latest = self._latest, None
        worst_s = self._worst_s()
        self._kept = {time_s: kept for time_s, kept in self._kept.items() if time_s in worst_s}
        if scored is not None and scored.time_s in worst_s:
            result = scored.result
            hint = "" if result.hint is None else str(result.hint)
            score = result.score or 0.0
            self._kept[scored.time_s] = Worst(scored.time_s, score, hint, _drawn(scored))


@dataclass(frozen=True, slots=True)
class Page:
    """All that the page is drawn from.

    Attributes:
        summary: what the session came to.
        means: see `Curves.means`.
        bin_s: how long one of those is.
        worst: the worst moments, in the order of their times.
        camera: whose it is.
        reference: what it was compared with.
    """

    summary: Summary
    means: NDArray[np.float64]
    bin_s: float
    worst: list[Worst]
    camera: str
    reference: str


class ScorePlot:
    """Keeps what the page needs."""

    def __init__(self) -> None:
        self._curves = Curves()
        self._worst = WorstMoments()

    def add(self, scored: Scored) -> None:
        """Take a frame in."""
        self._curves.add(scored)
        self._worst.add(scored)

    def page(self, summary: Summary, camera: str, reference: str) -> Page:
        """Return what there is to draw."""
        return Page(
            summary, self._curves.means(), self._curves.bin_s, self._worst.all(), camera, reference
        )


def require_matplotlib() -> None:
    """Load what draws the page, which takes a second.

    Raises:
        PoseError: Matplotlib is not installed.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401 - both are wanted a moment later
    except ImportError as error:
        raise PoseError(
            "Matplotlib, which draws the result, is not installed: pip install 'udpstream[pose]'"
        ) from error


def draw_page(page: Page) -> bytes:
    """Return the page as a PNG file's bytes; it takes a second.

    Raises:
        PoseError: Matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not by pyplot, which keeps figures, and looks for a screen.
    figure = Figure(figsize=_SIZE_IN, dpi=_DOTS_PER_IN, facecolor="white")
    _Drawing(figure, page).draw()
    file = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(file)
    return file.getvalue()


def _drawn(scored: Scored) -> bytes:
    """Return a scored frame with both poses as a small JPEG."""
    canvas_bgr = overlay.canvas(scored.picture(), _PICTURE_WH)
    result = scored.result
    if scored.landmarks is not None:
        draw_limbs(canvas_bgr, scored.landmarks, result.limbs_deg)
    if scored.reference is not None:
        draw_reference(
            canvas_bgr, scored.reference, scored.reference_aspect, mirrored=result.mirrored,
            marked=None if result.hint is None else result.hint.limb,
        )  # fmt: skip
    return encode(Codec.JPEG, canvas_bgr, _PICTURE_QUALITY).tobytes()


class _Drawing:
    """The page while it is drawn. Matplotlib's types are not known everywhere: Any."""

    def __init__(self, figure: Any, page: Page) -> None:
        self._figure = figure
        self._page = page
        self._summary = page.summary
        self._worst = page.worst
        self._means = page.means
        if not len(self._means):
            self._means = np.full((1, 1 + len(LIMBS)), np.nan)
        self._edges_s = np.arange(len(self._means) + 1) * page.bin_s

    def draw(self) -> None:
        bottom = 0.30 if self._worst else 0.07
        grid = self._figure.add_gridspec(
            2, 2, left=_LEFT, right=_RIGHT, top=0.86, bottom=bottom,
            height_ratios=(1.0, 1.05), width_ratios=(1.0, 0.016), hspace=0.10, wspace=0.03,
        )  # fmt: skip
        score = self._figure.add_subplot(grid[0, 0])
        limbs = self._figure.add_subplot(grid[1, 0], sharex=score)
        self._draw_head()
        self._draw_score(score)
        self._draw_limbs(limbs, self._figure.add_subplot(grid[1, 1]))
        self._draw_worst()

    def _draw_head(self) -> None:
        page, summary, text = self._page, self._summary, self._figure.text
        if summary.mean_score is None:
            text(0.03, 0.925, "no score", size=24, weight="bold", color=_SOFT)
            headline = ", ".join(summary.unscored) or "no frames"
            x = 0.19
        else:
            verdict = verdict_of(summary.mean_score)
            colour = _GOOD if verdict == CORRECT else _BAD
            text(0.03, 0.922, f"{int(summary.mean_score)}", size=34, weight="bold", color=colour)
            x = _LEFT
            text(x, 0.948, verdict, size=15, weight="bold", color=colour)
            headline = f"{_grade(summary)};  {_share(summary)}"
        text(x, 0.920, headline, size=11, color=_INK)
        text(x, 0.894, _standing(summary), size=10, color=_SOFT)
        who = f"{_short(page.camera)}  against  {_short(page.reference)}"
        text(_RIGHT, 0.948, who, size=10, color=_SOFT, ha="right", parse_math=False)

    def _draw_score(self, axes: Any) -> None:
        middles_s = (self._edges_s[:-1] + self._edges_s[1:]) / 2
        score = self._means[:, 0]
        axes.axhspan(PASS_SCORE, 100, color=_GOOD, alpha=0.05, lw=0)
        axes.axhline(PASS_SCORE, color=_SOFT, lw=1, ls=(0, (4, 3)))
        axes.fill_between(middles_s, score, PASS_SCORE, where=score >= PASS_SCORE,
                          interpolate=True, color=_GOOD, alpha=0.22, lw=0)  # fmt: skip
        axes.fill_between(middles_s, score, PASS_SCORE, where=score <= PASS_SCORE,
                          interpolate=True, color=_BAD, alpha=0.22, lw=0)  # fmt: skip
        axes.plot(middles_s, score, color=_INK, lw=1.4, solid_joinstyle="round")
        for number, moment in enumerate(self._worst, start=1):
            axes.plot(moment.time_s, moment.score, "o", ms=15, color="white",
                      mec=_INK, mew=1.0, clip_on=False, zorder=5)  # fmt: skip
            axes.text(moment.time_s, moment.score, number, size=9, weight="bold", color=_INK,
                      ha="center", va="center_baseline", zorder=6)  # fmt: skip
        self._draw_gaps(axes, score)
        axes.set_xlim(self._edges_s[0], self._edges_s[-1])
        axes.set_ylim(0, 103)
        axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50  passes", "75", "100"])
        axes.set_ylabel("score", color=_INK)
        axes.tick_params(labelbottom=False)
        _tidy(axes)

    def _draw_gaps(self, axes: Any, score: NDArray[np.float64]) -> None:
        """Shade where there was no score."""
        unknown = np.concatenate([[False], np.isnan(score), [False]])
        begins, ends = (np.flatnonzero(np.diff(unknown.astype(int)) == step) for step in (1, -1))
        for begin, end in zip(begins, ends, strict=True):
            axes.axvspan(self._edges_s[begin], self._edges_s[end], color=_EMPTY, lw=0, zorder=0)
            if (end - begin) > 0.12 * len(score):
                middle_s = (self._edges_s[begin] + self._edges_s[end]) / 2
                axes.text(middle_s, 8, "no score", size=9, color=_SOFT, ha="center")

    def _draw_limbs(self, axes: Any, bar: Any) -> None:
        from matplotlib.colors import ListedColormap

        steps_deg = np.linspace(0, _MOST_DEG, 256)
        colours = ListedColormap(
            [tuple(each / 255 for each in limb_stroke(deg).colour[::-1]) for deg in steps_deg]
        ).with_extremes(bad=_EMPTY)
        rows = np.ma.masked_invalid(self._means[:, 1:].T)
        heat = axes.pcolormesh(self._edges_s, np.arange(len(LIMBS) + 1), rows,
                               cmap=colours, vmin=0, vmax=_MOST_DEG, rasterized=True)  # fmt: skip
        axes.hlines(np.arange(1, len(LIMBS)), *self._edges_s[[0, -1]], color="white", lw=2)
        axes.set_yticks(np.arange(len(LIMBS)) + 0.5, LIMBS)
        axes.invert_yaxis()
        axes.set_xlabel("seconds", color=_INK)
        _tidy(axes)
        axes.tick_params(axis="y", length=0)
        scale = self._figure.colorbar(heat, cax=bar, ticks=[0, 20, 40, 60])
        scale.outline.set_visible(False)
        scale.ax.set_yticklabels(["0°", "20°", "40°", "60°"])
        scale.ax.tick_params(colors=_SOFT, labelsize=9, length=0)

    def _draw_worst(self) -> None:
        """Put the pictures in a row, as wide as they can be for it to hold them all."""
        if not self._worst:
            return
        self._figure.text(_EDGE, 0.245, "the weakest moments", size=9.5, color=_SOFT)
        width = (_RIGHT + 0.012 - _EDGE) / WORST_MOMENTS
        for place, moment in enumerate(self._worst):
            axes = self._figure.add_axes((_EDGE + place * width, 0.065, width - 0.012, 0.165))
            axes.imshow(_rgb(moment.jpeg))
            axes.set_anchor("S")
            axes.axis("off")
            x = _EDGE + place * width + (width - 0.012) / 2
            head = f"{place + 1}   {moment.time_s:.1f} s   score {int(moment.score)}"
            self._figure.text(x, 0.040, head, size=9.5, weight="bold", color=_INK, ha="center")
            self._figure.text(x, 0.018, moment.hint, size=8, color=_BAD, ha="center")


def _tidy(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=_SOFT, labelcolor=_INK, labelsize=9.5, length=3)


def _grade(summary: Summary) -> str:
    """Return the grade of a summary that has a score."""
    return grade_of(summary.mean_score or 0.0) if summary.worst else "perfect at every moment"


def _share(summary: Summary) -> str:
    return (
        f"{int(100 * (summary.correct_share or 0))} % of {summary.scored:,} scored frames correct"
    )


def _standing(summary: Summary) -> str:
    """Return lag, mirror, and what had no score, in a line."""
    words = []
    if summary.lag_s is not None:
        words.append(lag_words(summary.lag_s))
    if summary.mirrored:
        words.append("mirrored")
    without = summary.frames - summary.scored
    if without:
        reason = next(iter(summary.unscored), "")
        words.append(f"{without:,} frames without a score, mostly: {reason}")
    return ",  ".join(words)


def _short(name: str) -> str:
    """Return a name that fits, of the letters that Matplotlib's own font has."""
    known = "".join(letter if letter < _FIRST_UNKNOWN else "?" for letter in name)
    return known if len(known) <= 40 else f"...{known[-37:]}"


def _rgb(jpeg: bytes) -> NDArray[np.uint8]:
    image_bgr = decode(Codec.JPEG, jpeg, jpeg_size(jpeg))
    return cast(NDArray[np.uint8], cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB))
