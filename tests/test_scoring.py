"""What a Scorer says of people whose joints are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import motions
from benchmarks.motions import Motion, Person
from udpstream import scoring
from udpstream.core.dancer.faults import LIMBS as DANCER_LIMBS
from udpstream.core.dancer.faults import Faults
from udpstream.core.dancer.performer import Dancer
from udpstream.core.landmarks import LANDMARK_NAMES, PLACE
from udpstream.core.reference import Reference
from udpstream.errors import BadReferenceError
from udpstream.scoring import CORRECT, LIMBS, Result, Scorer

SECONDS = 12.0
ASPECT = 4 / 3
DANCE = motions.dance(1)
TEACHER, OTHER = Person(1000), Person(2000)
LEGS = [PLACE[name] for name in LANDMARK_NAMES if "knee" in name or "ankle" in name]
LEFT = [PLACE[name] for name in LANDMARK_NAMES if name.startswith("left")]


def steady(fps: float, seconds: float = SECONDS) -> NDArray[np.float64]:
    return np.arange(0, seconds, 1 / fps)


def reference_of(person: Person, motion: Motion, seconds: float = SECONDS) -> Reference:
    times_s = steady(10, seconds)
    return Reference(times_s, person.perform(motion, times_s), person.aspect)


REFERENCE = reference_of(TEACHER, DANCE)


def feed(
    scorer: Scorer,
    times_s: NDArray[np.float64],
    landmarks: NDArray[np.float32],
    aspect: float = ASPECT,
) -> list[Result]:
    return [
        scorer.push(float(time_s), pose, aspect)
        for time_s, pose in zip(times_s, landmarks, strict=True)
    ]


def perform(person: Person, motion: Motion, scorer: Scorer, fps: float = 10) -> list[Result]:
    times_s = steady(fps)
    return feed(scorer, times_s, person.perform(motion, times_s), person.aspect)


def correct_share(results: list[Result]) -> float:
    scored = [each for each in results if each.score is not None]
    assert len(scored) > 0.8 * len(results)
    return float(np.mean([each.verdict == CORRECT for each in scored]))


# -- who passes ---------------------------------------------------------------


def test_the_same_person_again_is_perfect() -> None:
    results = perform(TEACHER, DANCE, Scorer(REFERENCE))
    assert correct_share(results) == 1
    assert results[-1].grade == "perfect"
    assert results[-1].lag_s == pytest.approx(0, abs=0.05)
    assert results[-1].reference_s == pytest.approx(results[-1].time_s, abs=0.05)
    assert not results[-1].mirrored


@pytest.mark.parametrize("seed", [2000, 3000, 4000])
def test_another_person_in_time_is_correct(seed: int) -> None:
    assert correct_share(perform(Person(seed), DANCE, Scorer(REFERENCE))) > 0.9


@pytest.mark.parametrize(
    "motion",
    [motions.squats(), motions.push_ups(), motions.walking(), motions.yoga(5),
     motions.standing(6), motions.dance(7), motions.jumping_jacks()],
    ids=["squats", "push-ups", "walking", "yoga", "standing", "another dance", "jacks"],
)  # fmt: skip
def test_other_activities_are_not(motion: Motion) -> None:
    assert correct_share(perform(OTHER, motion, Scorer(REFERENCE))) <= 0.08


@pytest.mark.parametrize("off_s", [-3.0, -1.8, 2.5, 4.0])
def test_the_dance_out_of_time_is_not(off_s: float) -> None:
    results = perform(replace(OTHER, lag_s=off_s), DANCE, Scorer(REFERENCE))
    assert correct_share(results) <= 0.1


def test_where_and_how_large_and_which_aspect_do_not_matter() -> None:
    times_s = steady(15)
    landmarks = OTHER.perform(DANCE, times_s)
    plain = feed(Scorer(REFERENCE), times_s, landmarks)
    moved = landmarks.copy()
    moved[..., :2] = (moved[..., :2] - 0.5) * 0.4 + (0.6, 0.4)
    moved[..., 0] /= 2  # as much wider a picture
    again = feed(Scorer(REFERENCE), times_s, moved, ASPECT * 2)
    for one, other in zip(plain, again, strict=True):
        assert one.verdict == other.verdict
        if one.error_deg is not None:
            assert other.error_deg == pytest.approx(one.error_deg, abs=1e-3)


def test_two_seconds_tell_out_of_time_no_worse_than_one() -> None:
    late = replace(OTHER, lag_s=2.5)
    one, two = (
        correct_share(perform(late, DANCE, Scorer(REFERENCE, window_s=window_s)))
        for window_s in (1.0, 2.0)
    )
    assert two <= one


# -- nobody, too little, too few ------------------------------------------------


def check_no_score(result: Result, reason: str) -> None:
    assert result.reason == reason
    assert [result.score, result.verdict, result.grade, result.hint] == [None] * 4
    assert set(result.limbs_deg) == set(LIMBS)
    assert not any(result.limbs_deg.values())


@pytest.mark.parametrize("pose", [None, np.zeros((33, 4)), np.full((33, 4), np.nan)])
@pytest.mark.parametrize("metric", scoring.METRICS)
def test_nobody_is_never_correct(pose: NDArray[np.float64] | None, metric: scoring.Metric) -> None:
    scorer = Scorer(REFERENCE, metric=metric)
    for time_s in steady(15, 3):
        check_no_score(scorer.push(float(time_s), pose, ASPECT), scoring.NOBODY)
    assert scorer.summary().correct_share is None


@pytest.mark.parametrize("hidden", [LEGS, LEFT], ids=["legs", "left side"])
@pytest.mark.parametrize("how", ["unseen", "out of the picture"])
def test_half_a_body_has_no_score(hidden: list[int], how: str) -> None:
    times_s = steady(15, 3)
    landmarks = TEACHER.perform(DANCE, times_s)
    if how == "unseen":
        landmarks[:, hidden, 3] = 0.3
    else:
        landmarks[:, hidden, 1] += 1
    for result in feed(Scorer(REFERENCE), times_s, landmarks):
        check_no_score(result, scoring.TOO_LITTLE)


def test_one_hidden_arm_is_scored_and_says_nothing_of_it() -> None:
    times_s = steady(15, 5)
    landmarks = TEACHER.perform(DANCE, times_s)
    landmarks[:, [PLACE["left_elbow"], PLACE["left_wrist"]], 3] = 0.1
    result = feed(Scorer(REFERENCE), times_s, landmarks)[-1]
    assert result.verdict == CORRECT
    assert result.limbs_deg["left upper arm"] is result.limbs_deg["left forearm"] is None
    assert result.limbs_deg["right forearm"] is not None


def test_the_first_frames_are_too_few_and_five_a_second_are_enough() -> None:
    results = perform(TEACHER, DANCE, Scorer(REFERENCE), fps=5)
    for result in results[:4]:
        check_no_score(result, scoring.TOO_FEW)
    assert all(each.verdict == CORRECT for each in results[4:])


def test_one_frame_a_second_is_too_few() -> None:
    for result in perform(TEACHER, DANCE, Scorer(REFERENCE), fps=1):
        check_no_score(result, scoring.TOO_FEW)


def test_frames_that_tell_no_motion_are_too_few() -> None:
    times_s = np.array([0, 0.05, 0.1, 0.15, 0.75, 0.8])
    for result in feed(Scorer(REFERENCE), times_s, TEACHER.perform(DANCE, times_s)):
        check_no_score(result, scoring.TOO_FEW)


def test_who_leaves_and_returns_is_scored_again() -> None:
    times_s = steady(15)
    landmarks = OTHER.perform(DANCE, times_s)
    scorer = Scorer(REFERENCE)
    reasons: dict[str | None, list[float]] = {}
    for time_s, pose in zip(times_s, landmarks, strict=True):
        away = 4 <= time_s < 6
        result = scorer.push(float(time_s), None if away else pose, ASPECT)
        reasons.setdefault(result.reason, []).append(float(time_s))
    assert min(reasons[scoring.NOBODY]) == pytest.approx(4, abs=0.1)
    assert max(reasons[scoring.TOO_FEW]) == pytest.approx(6.7, abs=0.2)
    assert max(reasons[None]) == times_s[-1]


def test_who_stops_is_soon_not_correct() -> None:
    dancing, stopped = [], []
    for seed in range(1, 5):
        dance, times_s = motions.dance(seed), steady(15)
        landmarks = Person(2000 + seed).perform(dance, np.minimum(times_s, 7.0))
        scorer = Scorer(reference_of(Person(1000 + seed), dance))
        results = feed(scorer, times_s, landmarks)
        dancing += [each for each in results if 2 < each.time_s < 7]
        stopped += [each for each in results if each.time_s > 9]
    # A dance pauses too, in a pose that may be like the one they stopped in.
    assert correct_share(stopped) <= 0.15
    assert correct_share(dancing) >= 0.9


# -- the same frames, the same numbers -------------------------------------------


def test_frames_that_were_lost_hardly_matter() -> None:
    times_s = steady(30)
    kept = np.random.default_rng(3).random(len(times_s)) > 0.4
    landmarks = OTHER.perform(DANCE, times_s)
    whole = feed(Scorer(REFERENCE), times_s, landmarks)
    lossy = feed(Scorer(REFERENCE), times_s[kept], landmarks[kept])
    for one, other in zip(np.array(whole)[kept], lossy, strict=True):
        if one.error_deg is not None and other.error_deg is not None and one.time_s > 2:
            assert other.error_deg == pytest.approx(one.error_deg, abs=3)


def test_a_frame_that_is_not_later_adds_nothing() -> None:
    times_s = steady(15, 4)
    landmarks = OTHER.perform(DANCE, times_s)
    once, twice = Scorer(REFERENCE), Scorer(REFERENCE)
    for time_s, pose in zip(times_s, landmarks, strict=True):
        result = once.push(float(time_s), pose, ASPECT)
        assert twice.push(float(time_s), pose, ASPECT) == result
        assert twice.push(float(time_s), pose, ASPECT) == result


def test_a_finer_reference_gives_the_same() -> None:
    times_s = steady(30)
    finer = Reference(times_s, TEACHER.perform(DANCE, times_s), ASPECT)
    for one, other in zip(
        perform(OTHER, DANCE, Scorer(REFERENCE)), perform(OTHER, DANCE, Scorer(finer)), strict=True
    ):
        if one.error_deg is not None and other.error_deg is not None and one.time_s > 2:
            assert other.error_deg == pytest.approx(one.error_deg, abs=3)


# -- time and mirror ---------------------------------------------------------------


@pytest.mark.parametrize("lag_s", [-0.8, 0.2, 0.5, 1.0])
def test_a_persons_lag_is_found_and_followed(lag_s: float) -> None:
    results = perform(replace(OTHER, lag_s=lag_s), DANCE, Scorer(REFERENCE))
    late = [each for each in results if each.time_s > 6 and not each.ended]
    lags_s = np.array([np.nan if each.lag_s is None else each.lag_s for each in late])
    assert np.abs(lags_s - lag_s).max() < 0.25  # persons drift
    assert np.median(lags_s) == pytest.approx(lag_s, abs=0.1)
    assert np.mean([each.verdict == CORRECT for each in late]) > 0.9
    assert late[-1].reference_s == pytest.approx(late[-1].time_s - lag_s, abs=0.4)


def test_nobody_has_a_lag_who_does_something_else() -> None:
    assert perform(OTHER, motions.squats(), Scorer(REFERENCE))[-1].lag_s is None


def test_a_lag_is_forgotten_when_nothing_matches_any_more() -> None:
    times_s = steady(15, 14)
    landmarks = np.concatenate([
        replace(OTHER, lag_s=0.8).perform(DANCE, times_s[:75]),
        OTHER.perform(motions.push_ups(), times_s[75:]),
    ])  # fmt: skip
    results = feed(Scorer(reference_of(TEACHER, DANCE, 20)), times_s, landmarks)
    assert results[74].lag_s == pytest.approx(0.8, abs=0.1)
    assert results[-1].lag_s is None


def test_a_mirrored_person_is_recognised_and_sides_are_their_own() -> None:
    mirrored = replace(TEACHER, mirrored=True)
    scorer = Scorer(REFERENCE)
    results = perform(mirrored, DANCE, scorer)
    assert correct_share(results) > 0.95
    assert all(each.mirrored for each in results if each.score is not None)
    assert scorer.summary().mirrored


def test_mirror_on_and_off_are_obeyed() -> None:
    mirrored = replace(OTHER, mirrored=True)
    assert correct_share(perform(mirrored, DANCE, Scorer(REFERENCE, mirror="on"))) > 0.9
    assert correct_share(perform(mirrored, DANCE, Scorer(REFERENCE, mirror="off"))) < 0.1
    assert correct_share(perform(OTHER, DANCE, Scorer(REFERENCE, mirror="on"))) < 0.1


def test_start_counts_from_the_first_pose() -> None:
    times_s = steady(15)
    scorer = Scorer(REFERENCE, sync="start")
    for time_s in steady(15, 3):
        check_no_score(scorer.push(float(time_s), None, ASPECT), scoring.NOBODY)
    results = feed(scorer, times_s + 3, OTHER.perform(DANCE, times_s))
    assert correct_share(results) > 0.9
    assert results[-1].reference_s == pytest.approx(results[-1].time_s - 3, abs=0.25)


def test_start_counts_from_a_countdown() -> None:
    times_s = steady(15)
    scorer = Scorer(REFERENCE, sync="start", start_s=2.0)
    landmarks = OTHER.perform(DANCE, np.maximum(times_s - 2.0, 0))
    results = feed(scorer, times_s, landmarks)
    for result in results[:30]:
        check_no_score(result, scoring.WAITING)
    scored = [each for each in results if each.score is not None]
    assert np.mean([each.verdict == CORRECT for each in scored]) > 0.9


def test_without_sync_any_moment_may_match() -> None:
    late = replace(OTHER, lag_s=-4.0)
    results = perform(late, DANCE, Scorer(REFERENCE, sync="none"))
    within = [each for each in results if 2 < each.time_s < SECONDS - 5]
    assert np.mean([each.verdict == CORRECT for each in within]) > 0.9
    assert all(each.lag_s is None for each in within)
    assert within[-1].reference_s == pytest.approx(within[-1].time_s + 4, abs=0.4)


def test_the_session_ends_with_the_reference_or_loops() -> None:
    times_s = steady(15, 10)
    reference = reference_of(TEACHER, DANCE, 6)
    landmarks = np.tile(OTHER.perform(DANCE, steady(15, 6)), (2, 1, 1))[: len(times_s)]
    results = feed(Scorer(reference), times_s, landmarks)
    ended = [each.time_s for each in results if each.ended]
    assert min(ended) == pytest.approx(6.0, abs=0.2)
    assert max(ended) == times_s[-1]
    looped = feed(Scorer(reference, loop=True), times_s, landmarks)
    assert not any(each.ended for each in looped)
    assert looped[-1].verdict == CORRECT
    assert looped[-1].reference_s == pytest.approx(times_s[-1] - 6, abs=0.25)


# -- limbs -------------------------------------------------------------------------

SIZE_WH = (640, 480)


def dance_of(dancer: Dancer, times_s: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
    """A dancer's joints, and noise of 0.04 of a torso."""
    poses = [dancer.landmarks(float(time_s), SIZE_WH) for time_s in times_s]
    landmarks = np.stack([each for each in poses if each is not None])
    assert len(landmarks) == len(times_s)
    landmarks[..., :2] += np.random.default_rng(seed).normal(0, 0.008, (len(times_s), 33, 2))
    return landmarks


def score_dancer(faults: Faults, seed: int) -> list[Result]:
    """Against another body under another camera; the scored frames."""
    times_s = steady(10, 8)
    reference = Reference(times_s, dance_of(Dancer(2 * seed), times_s, 1), ASPECT)
    landmarks = dance_of(Dancer(2 * seed + 1, faults), times_s, 2)
    return [each for each in feed(Scorer(reference), times_s, landmarks) if each.score is not None]


@pytest.mark.parametrize("limb", DANCER_LIMBS)
@pytest.mark.parametrize("degrees", [30.0, -30.0])
def test_the_hint_names_a_limb_that_is_off(limb: str, degrees: float) -> None:
    results = score_dancer(Faults(limbs_deg={limb: degrees}), seed=DANCER_LIMBS.index(limb))
    named = [each.hint is not None and each.hint.limb == limb for each in results]
    assert np.mean(named) >= 0.9
    assert results[-1].limbs_deg[limb] == pytest.approx(30, abs=15)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_hint_is_of_the_performers_own_side(mirrored: bool) -> None:
    results = score_dancer(Faults(limbs_deg={"left forearm": 40.0}, mirrored=mirrored), seed=3)
    named = [each.hint is not None and each.hint.limb == "left forearm" for each in results]
    assert all(each.mirrored == mirrored for each in results)
    assert np.mean(named) >= 0.9


@pytest.mark.parametrize("lag_s", [0.2, 0.6, 1.0])
def test_a_dancers_lag_is_found_to_a_tenth_of_a_second(lag_s: float) -> None:
    results = score_dancer(Faults(lag_s=lag_s), seed=4)
    lags_s = [each.lag_s for each in results if each.time_s > 2.5]
    assert lags_s == pytest.approx([lag_s] * len(lags_s), abs=0.1)


def test_an_arm_that_hangs_is_too_low_and_one_that_is_up_too_high() -> None:
    for degrees, words in ((-60.0, "too low"), (60.0, "too high")):
        # Beat 9: both arms straight out.
        results = score_dancer(Faults(limbs_deg={"right upper arm": degrees}), seed=5)
        hints = [str(each.hint) for each in results if 5.3 < each.time_s < 5.8]
        assert hints
        assert all(hint.startswith("right upper arm: ") for hint in hints)
        assert all(hint.endswith(f"degrees {words}") for hint in hints)


def test_a_dancer_without_faults_gets_no_hint() -> None:
    results = score_dancer(Faults(), seed=20)
    assert np.mean([each.hint is None for each in results]) >= 0.9


def test_a_dancer_who_stands_is_not_correct() -> None:
    assert not any(each.verdict == CORRECT for each in score_dancer(Faults(still=True), seed=20))


# -- the original, the scale, the summary ---------------------------------------------


def test_the_original_calls_squats_correct() -> None:
    """Which is why it is there for comparison only."""
    results = perform(OTHER, motions.squats(), Scorer(REFERENCE, metric="cosine"))
    assert correct_share(results) == 1


def test_a_repetitive_reference_has_a_scale_of_its_own() -> None:
    assert Scorer(REFERENCE).scale.period_s is None
    scale = Scorer(reference_of(TEACHER, motions.repeated(1), 16)).scale
    assert scale.period_s == pytest.approx(2.0, abs=0.1)
    small = motions.dance(4, energies=(0.25, 0.35))
    alike = Scorer(reference_of(TEACHER, small, 20)).scale
    assert 26 <= alike.middle_deg < Scorer(REFERENCE).scale.middle_deg


def test_the_summary_adds_up() -> None:
    times_s = steady(15)
    landmarks = OTHER.perform(DANCE, np.where((times_s > 6) & (times_s < 8), 6.0, times_s))
    scorer = Scorer(reference_of(TEACHER, DANCE, SECONDS + 2))
    results = feed(scorer, times_s, landmarks)
    scorer.push(float(times_s[-1]) + 0.05, None, ASPECT)
    summary = scorer.summary()
    scores = [each.score for each in results if each.score is not None]
    assert summary.frames == len(results) + 1
    assert summary.scored == len(scores)
    assert summary.mean_score == pytest.approx(np.mean(scores))
    assert summary.correct_share == pytest.approx(correct_share(results))
    assert summary.unscored == {scoring.TOO_FEW: len(results) - len(scores), scoring.NOBODY: 1}
    assert list(summary.limbs_deg.values()) == sorted(summary.limbs_deg.values(), reverse=True)
    assert set(summary.limbs_deg) == set(LIMBS)
    assert min(summary.worst, key=lambda each: each.score).score == min(scores)
    assert any(6 < each.time_s < 9 for each in summary.worst)
    times = [each.time_s for each in summary.worst]
    assert times == sorted(times)
    assert min(np.diff(times)) >= 2


# -- what cannot be scored -----------------------------------------------------------


def test_a_reference_of_heads_cannot_be_danced_to() -> None:
    landmarks = REFERENCE.landmarks.copy()
    landmarks[:, PLACE["left_shoulder"] :, 3] = 0
    with pytest.raises(BadReferenceError, match="too little of a body"):
        Scorer(Reference(REFERENCE.times_s, landmarks, ASPECT))


def test_a_reference_of_upper_bodies_is_compared_by_those() -> None:
    landmarks = REFERENCE.landmarks.copy()
    landmarks[:, LEGS, 3] = 0
    scorer = Scorer(Reference(REFERENCE.times_s, landmarks, ASPECT))
    times_s = steady(15)
    performed = OTHER.perform(DANCE, times_s)
    performed[:, LEGS, 3] = 0
    results = feed(scorer, times_s, performed)
    assert correct_share(results) > 0.8
    assert results[-1].limbs_deg["left shin"] is None


def test_a_gap_in_the_reference_is_no_fault_of_the_performer() -> None:
    landmarks = REFERENCE.landmarks.copy()
    landmarks[40:70] = 0
    reference = Reference(REFERENCE.times_s, landmarks, ASPECT)
    results = perform(TEACHER, DANCE, Scorer(reference))
    within = [each for each in results if 5.5 < each.time_s < 6.8]
    assert {each.reason for each in within} == {scoring.NO_REFERENCE}
    assert {each.verdict for each in results} == {None, CORRECT}


@pytest.mark.parametrize(
    "options",
    [{"metric": "oks"}, {"mirror": "maybe"}, {"sync": "later"}, {"window_s": 0.1}],
)
def test_options_that_are_none_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"it (is one of|can be)"):
        Scorer(REFERENCE, **options)  # type: ignore[arg-type]
