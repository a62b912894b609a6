"""How to score: the options of ``receive --score`` and of ``udpstream score``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from udpstream.performance import ScoringOptions


class Sync(StrEnum):
    """See `scoring.Scorer`."""

    auto = "auto"
    start = "start"
    none = "none"


class Mirror(StrEnum):
    """See `scoring.Scorer`."""

    auto = "auto"
    on = "on"
    off = "off"


class Metric(StrEnum):
    """See `scoring.Scorer`."""

    motion = "motion"
    cosine = "cosine"


SyncOption = Annotated[
    Sync,
    typer.Option(
        help="auto finds how far the performer is behind and follows it; start has the reference "
        "begin with the first pose, or after --countdown; none takes the best match anywhere."
    ),
]
MirrorOption = Annotated[
    Mirror, typer.Option(help="Whether it is done mirrored: auto finds out in the first seconds.")
]
MetricOption = Annotated[
    Metric, typer.Option(help="cosine: the original one, for comparison; calls anything correct.")
]
WindowOption = Annotated[
    float,
    typer.Option(
        "--window", min=0.5, max=10.0, metavar="S", help="Seconds that a score is taken over."
    ),
]
CountdownOption = Annotated[
    float | None,
    typer.Option(
        min=0.0, metavar="S", help="With --sync start: begin so long after the first frame."
    ),
]
LoopOption = Annotated[
    bool, typer.Option("--loop-reference", help="Begin the reference anew where it ends.")
]
OverlayOption = Annotated[
    bool, typer.Option("--overlay", help="Also write annotated.avi, with the scores drawn.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """What to score against, and how.

    Attributes:
        reference: a ``.csv``, or a video.
        scoring: how.
        model: the pose model's file, if it is not to be found or fetched.
        overlay: whether to write annotated.avi.
    """

    reference: Path
    scoring: ScoringOptions
    model: Path | None
    overlay: bool

    def about(self) -> dict[str, object]:
        """What is to be said of it in files."""
        scoring = self.scoring
        return {
            "reference": str(self.reference),
            "metric": scoring.metric,
            "sync": scoring.sync,
            "countdown_s": scoring.start_s,
            "mirror": scoring.mirror,
            "window_s": scoring.window_s,
            "loop": scoring.loop,
        }


def score_options(
    reference: Path | None,
    *,
    sync: Sync,
    mirror: Mirror,
    metric: Metric,
    window_s: float,
    countdown_s: float | None,
    loop: bool,
    model: Path | None,
    overlay: bool,
) -> ScoreOptions | None:
    """Put the options together; None without a reference.

    Raises:
        typer.BadParameter: they do not go together.
    """
    from udpstream.performance import ScoringOptions

    scoring = ScoringOptions(
        metric=metric.value,
        mirror=mirror.value,
        sync=sync.value,
        start_s=countdown_s,
        window_s=window_s,
        loop=loop,
    )
    if reference is None:
        if scoring != ScoringOptions() or model is not None or overlay:
            raise typer.BadParameter(
                "--sync, --mirror, --metric, --window, --countdown, --loop-reference, --model "
                "and --overlay say how to score: give a reference with --score"
            )
        return None
    if countdown_s is not None and sync is not Sync.start:
        raise typer.BadParameter("--countdown says when to start: add --sync start")
    return ScoreOptions(reference=reference, scoring=scoring, model=model, overlay=overlay)
