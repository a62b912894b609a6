"""How well scores tell who does the steps: the tables of docs/scoring.md.

python -m benchmarks.calibrate_scoring --markdown

Dances are drawn by seed. Each is performed by several persons with bodies, styles, a sense
of time and cameras of their own (`benchmarks.motions`); one of them is the reference. What
is planted is planted on the drawn dancer, whose joints are known. No video and no pose
tracker is needed: a tracker's noise is laid over the true joints.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks import motions
from benchmarks.motions import Motion, Person, Variety
from benchmarks.report import Table, Value, progress, publish
from udpstream.core.dancer.faults import LIMBS, Faults
from udpstream.core.dancer.performer import Dancer
from udpstream.core.reference import Reference
from udpstream.scoring import CONTEXT_S, CORRECT, Metric, Result, Scorer

CLIP_S = 21.0
REFERENCE_FPS = 10.0
CAMERA_FPS = 30.0
LOST = 0.3  # of the frames, at random: a link that is not at its best, a slow machine
OUT_OF_TIME_S = (-4.0, -1.7, 2.3, 3.1)
NOISE = 0.04  # of a tracker, in torso lengths; a torso is TORSO picture heights on average
TORSO = 0.22
SIZE_WH = (640, 480)
FAULT_DEG = 30.0
DANCER_S = 12.0
DANCER_LATE_S = (2.0, 3.0, 4.0, 5.0)  # half the dance's period is 4.8

COPY, IN_TIME = "copy, through another camera", "another person, in time"
LATE, MIRRORED = "another person, 0.6 s late", "another person, mirrored"
OUT_OF_TIME, STILL = "the dance out of time", "standing still"


@dataclass(frozen=True)
class Clip:
    """One performance against one reference; `copied`: filmed again by another camera."""

    group: str
    reference: Reference
    person: Person
    motion: Motion
    copied: bool = False


@dataclass(frozen=True)
class Way:
    """One way to score."""

    name: str
    window_s: float = 1.0
    context_s: float = CONTEXT_S
    metric: Metric = "motion"


WAYS = (
    Way("1 s"),
    Way("2 s", window_s=2.0),
    Way("no context", context_s=0.0),
    Way("original", metric="cosine"),
)


@dataclass
class Group:
    """What came of the clips of one kind."""

    clips: int = 0
    frames: int = 0
    correct: int = 0
    scores: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, results: list[Result]) -> None:
        """Count one clip in."""
        scored = [each for each in results if each.score is not None]
        self.clips += 1
        self.frames += len(results)
        self.correct += sum(each.verdict == CORRECT for each in scored)
        self.scores += [each.score for each in scored if each.score is not None]
        self.errors += [each.error_deg for each in scored if each.error_deg is not None]

    @property
    def correct_percent(self) -> float:
        """Of the scored frames."""
        return 100 * self.correct / len(self.scores)


def clips(seed: int, dances: int, variety: Variety) -> Iterator[Clip]:
    """All performances of the table."""
    times_s = np.arange(0, CLIP_S, 1 / REFERENCE_FPS)
    for number in range(dances):
        base = 1000 * (seed + number)
        dance, teacher = motions.dance(base), Person(base, variety)
        reference = Reference(times_s, teacher.perform(dance, times_s), teacher.aspect)
        yield Clip(COPY, reference, teacher, dance, copied=True)
        for group, person, motion in _performances(base, dance):
            yield Clip(group, reference, replace(person, variety=variety), motion)


def _performances(base: int, dance: Motion) -> list[tuple[str, Person, Motion]]:
    return [
        (IN_TIME, Person(base + 1), dance),
        (IN_TIME, Person(base + 2), dance),
        (LATE, Person(base + 3, lag_s=0.6), dance),
        (MIRRORED, Person(base + 4, mirrored=True), dance),
        *((OUT_OF_TIME, Person(base + 5, lag_s=off_s), dance) for off_s in OUT_OF_TIME_S),
        ("another dance", Person(base + 6), motions.dance(base + 6)),
        ("another dance", Person(base + 7), motions.dance(base + 7, beat_s=0.5)),
        ("squats", Person(base + 8), motions.squats()),
        ("jumping jacks", Person(base + 9), motions.jumping_jacks()),
        ("push-ups", Person(base + 10), motions.push_ups()),
        ("walking", Person(base + 11), motions.walking()),
        ("yoga", Person(base + 12), motions.yoga(base + 12)),
        (STILL, Person(base + 13), motions.standing(base + 13)),
        (STILL, Person(base + 14), motions.standing(base + 14)),
    ]


def frame_times(seed: int, seconds: float = CLIP_S) -> NDArray[np.float64]:
    """Times of a camera's frames, some of them lost."""
    random = np.random.default_rng(seed)
    times_s = np.arange(0, seconds, 1 / CAMERA_FPS) + random.uniform(0, 0.004)
    return times_s[random.random(len(times_s)) >= LOST]


def score(clip: Clip, way: Way) -> list[Result]:
    """Score a clip's frames."""
    times_s = frame_times(clip.person.seed)
    scorer = Scorer(
        clip.reference,
        metric=way.metric,
        window_s=way.window_s,
        context_s=way.context_s,
    )
    landmarks = clip.person.perform(clip.motion, times_s)
    aspect = clip.person.aspect
    if clip.copied:
        landmarks, aspect = copied(landmarks, aspect, clip.person.seed)
    return [
        scorer.push(float(time_s), pose, aspect)
        for time_s, pose in zip(times_s, landmarks, strict=True)
    ]


def copied(
    landmarks: NDArray[np.float32], aspect: float, seed: int
) -> tuple[NDArray[np.float32], float]:
    """Return landmarks as of a screen that is filmed: moved, smaller, rolled, of another aspect."""
    random = np.random.default_rng(seed)
    roll = np.radians(random.uniform(-5, 5))
    wide = random.choice([3 / 4, 1.0, 16 / 9])
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    xy = (landmarks[..., :2] - 0.5) * (aspect, 1.0) @ turn.T * random.uniform(0.4, 1.0)
    xy += random.normal(0, 0.5 * NOISE * TORSO, xy.shape)
    copy = landmarks.copy()
    copy[..., :2] = xy / (wide, 1.0) + 0.5 + random.uniform(-0.05, 0.05, 2)
    return copy, float(wide)


def auc(positives: list[float], negatives: list[float]) -> float:
    """How often, in percent, a positive scores more than a negative; ties count half."""
    values = np.concatenate([positives, negatives])
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    n = len(positives)
    return 100 * float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(negatives)))


def people(
    seed: int, dances: int, variety: Variety
) -> tuple[list[Table], dict[tuple[str, str], Group]]:
    """Score every clip in every way."""
    groups: dict[tuple[str, str], Group] = {}
    for clip in clips(seed, dances, variety):
        for way in WAYS:
            groups.setdefault((clip.group, way.name), Group()).add(score(clip, way))
    names = list(dict.fromkeys(name for name, _ in groups))
    first = WAYS[0].name
    passes = Table(
        "Who passes",
        "CORRECT, percent of the scored frames, by window; the score is that of 1 s.",
    )
    for name in names:
        group = groups[name, first]
        row: dict[str, Value] = {"who": name, "clips": group.clips}
        row["scored %"] = 100 * len(group.scores) / group.frames
        row |= {way.name: groups[name, way.name].correct_percent for way in WAYS}
        row["score"] = float(np.mean(group.scores))
        passes.rows.append(row)
    apart = Table(
        "AUC",
        "Of another person in time against the others: how often a frame of the one is nearer "
        "than one of the other, in percent.",
    )
    others = [name for name in names if name not in (COPY, IN_TIME, LATE, MIRRORED)]
    activities = [name for name in others if name not in (OUT_OF_TIME, STILL)]
    for way in WAYS:
        near = [-each for each in groups[IN_TIME, way.name].errors]
        row = {"way": way.name}
        for title, against in (
            ("out of time", [OUT_OF_TIME]), ("other activities", activities), ("still", [STILL]),
        ):  # fmt: skip
            pooled = [groups[name, way.name] for name in against]
            if way.metric == "cosine":
                scores = [each for group in pooled for each in group.scores]
                row[title] = auc(groups[IN_TIME, way.name].scores, scores)
            else:
                row[title] = auc(near, [-each for group in pooled for each in group.errors])
        apart.rows.append(row)
    return [passes, apart], groups


def anchors(groups: dict[tuple[str, str], Group]) -> Table:
    """E at percentiles, which the scale's anchors are read from."""
    table = Table(
        "E in degrees", "At percentiles of the scored frames; without context the window is 1 s."
    )
    for way in (WAYS[0], WAYS[2]):
        for name in (COPY, IN_TIME, OUT_OF_TIME, STILL):
            errors = groups[name, way.name].errors
            row: dict[str, Value] = {"way": way.name, "who": name, "mean": float(np.mean(errors))}
            row |= {f"p{at}": float(np.percentile(errors, at)) for at in (5, 10, 50, 90, 95)}
            table.rows.append(row)
    return table


def dancer_landmarks(
    dancer: Dancer, times_s: NDArray[np.float64], seed: int
) -> NDArray[np.float32]:
    """A dancer's true landmarks with a tracker's noise: `(n, 33, 4)`."""
    poses = [dancer.landmarks(float(time_s), SIZE_WH) for time_s in times_s]
    landmarks = np.stack(
        [np.zeros((33, 4), np.float32) if each is None else each for each in poses]
    )
    noise = np.random.default_rng(seed).normal(0, NOISE * TORSO, (len(times_s), 33, 2))
    landmarks[..., :2] += noise * (SIZE_WH[1] / SIZE_WH[0], 1.0)
    return landmarks


def on_dancer(seed: int, faults: Faults) -> tuple[list[Result], Scorer]:
    """Score a dancer with faults against another body under another camera."""
    times_s = np.arange(0, DANCER_S + 2, 1 / REFERENCE_FPS)
    landmarks = dancer_landmarks(Dancer(2 * seed), times_s, 2 * seed)
    aspect = SIZE_WH[0] / SIZE_WH[1]
    scorer = Scorer(Reference(times_s, landmarks, aspect))
    times_s = frame_times(seed, DANCER_S)
    landmarks = dancer_landmarks(Dancer(2 * seed + 1, faults), times_s, 2 * seed + 1)
    results = [
        scorer.push(float(time_s), pose, aspect)
        for time_s, pose in zip(times_s, landmarks, strict=True)
    ]
    return [each for each in results if each.score is not None], scorer


def planted(seed: int, count: int) -> Table:
    """What is planted on the dancer, and whether it is found."""
    table = Table(
        "Planted on the dancer",
        "Another body, another camera. Right: of the scored frames, the hint names the limb, the "
        "lag is within 0.1 s, the mirror is told, who stands or is out of time is not CORRECT. "
        "Off: the lag's error in the end, at most.",
    )
    random = np.random.default_rng(seed)

    def row(what: str, right: list[float], off_s: list[float] | None = None) -> None:
        table.rows.append(
            {
                "planted": what,
                "dancers": len(right),
                "right %": 100 * float(np.mean(right)),
                "worst %": 100 * min(right),
                "off s": None if off_s is None else max(off_s),
            }
        )

    for limb in LIMBS:
        right = []
        for number in range(count):
            degrees = FAULT_DEG * (1 if random.random() < 0.5 else -1)
            results, _ = on_dancer(seed + number, Faults(limbs_deg={limb: degrees}))
            right.append(
                float(
                    np.mean([each.hint is not None and each.hint.limb == limb for each in results])
                )
            )
        row(f"{limb} off by 30 degrees", right)
    for lag_s in (0.2, 0.4, 0.6, 0.8, 1.0):
        right, off_s = [], []
        for number in range(count):
            results, scorer = on_dancer(seed + number, Faults(lag_s=lag_s))
            found = [each.lag_s is not None and abs(each.lag_s - lag_s) <= 0.1 for each in results]
            right.append(float(np.mean(found)))
            off_s.append(abs((scorer.lag_s if scorer.lag_s is not None else np.inf) - lag_s))
        row(f"{lag_s} s late", right, off_s)
    right = []
    for number in range(count):
        results, _ = on_dancer(seed + number, Faults(mirrored=True))
        right.append(float(np.mean([each.mirrored for each in results])))
    row("mirrored", right)
    wrong = {"standing still": Faults(still=True)}
    wrong |= {f"{lag_s:g} s out of time": Faults(lag_s=lag_s) for lag_s in DANCER_LATE_S}
    for what, faults in wrong.items():
        right = []
        for number in range(count):
            results, _ = on_dancer(seed + number, faults)
            right.append(float(np.mean([each.verdict != CORRECT for each in results])))
        row(what, right)
    return table


def speed(seed: int) -> Table:
    """How long a result takes."""
    dance, times_s = motions.dance(seed), np.arange(0, CLIP_S, 1 / CAMERA_FPS)
    sampled_s = np.arange(0, CLIP_S, 1 / REFERENCE_FPS)
    reference = Reference(sampled_s, Person(seed).perform(dance, sampled_s), 4 / 3)
    landmarks = Person(seed + 1).perform(dance, times_s)
    table = Table("Time", "Of a 21 s reference: processor time of one thread.")
    began = time.thread_time()
    scorer = Scorer(reference)
    table.rows.append({"what": "making a Scorer", "ms": 1e3 * (time.thread_time() - began)})
    spent = []
    for time_s, pose in zip(times_s, landmarks, strict=True):
        began = time.thread_time()
        scorer.push(float(time_s), pose, 4 / 3)
        spent.append(time.thread_time() - began)
    for percent in (50, 95):
        value = 1e3 * float(np.percentile(spent, percent))
        table.rows.append({"what": f"a frame, p{percent}", "ms": value})
    return table


def main(
    dances: Annotated[int, typer.Option(help="Dances; some twenty clips each.")] = 8,
    seed: int = 1,
    differ: Annotated[float, typer.Option(help="How much persons differ, times the usual.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables for a page.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
) -> None:
    """Score people who are only kinematics, and print who passes."""
    with progress.status("scoring ..."):
        tables, groups = people(seed, dances, Variety().times(differ))
        tables += [anchors(groups), planted(seed, dances), speed(seed)]
    publish("benchmarks.calibrate_scoring", seed, tables, json_file, as_markdown=markdown)


if __name__ == "__main__":
    typer.run(main)
