"""The arithmetic under a Scorer, piece by piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import motions
from benchmarks.motions import Person
from udpstream.core.landmarks import PLACE
from udpstream.core.pose.elsewhere import Elsewhere
from udpstream.core.pose.follow import Follow
from udpstream.core.pose.history import MAX_FRAMES, History
from udpstream.core.pose.itself import REPEATS_DEG, against_itself
from udpstream.core.pose.landmarks import JOINT, JOINTS, MIRRORED, joints_of, mirrored
from udpstream.core.pose.limbs import LIMBS, Hint, bones_of, hint_of, limb_errors, usual_lengths
from udpstream.core.pose.match import compare, compare_pairs, errors
from udpstream.core.pose.scale import Scale, grade_of, verdict_of
from udpstream.core.pose.tally import APART_S, WORST_MOMENTS, Moment, Tally
from udpstream.core.pose.template import (
    MAX_GAP_S,
    STEP_S,
    Sample,
    Template,
    Track,
    sample,
    versions,
)
from udpstream.scoring import CORRECT, NOT_CORRECT

Array = NDArray[np.float64]
TIMES_S = np.arange(0, 4, 0.1)
LANDMARKS = Person(5).perform(motions.dance(5), TIMES_S)


def body() -> Array:
    """Somebody who faces the camera, arms out to the sides: `(13, 2)` in torsos."""
    places = {
        "nose": (0.0, -1.4),
        "left_shoulder": (0.35, -1.0), "right_shoulder": (-0.35, -1.0),
        "left_elbow": (0.9, -1.0), "right_elbow": (-0.9, -1.0),
        "left_wrist": (1.4, -1.0), "right_wrist": (-1.4, -1.0),
        "left_hip": (0.2, 0.0), "right_hip": (-0.2, 0.0),
        "left_knee": (0.2, 0.8), "right_knee": (-0.2, 0.8),
        "left_ankle": (0.2, 1.6), "right_ankle": (-0.2, 1.6),
    }  # fmt: skip
    return np.array([places[name] for name in JOINTS])


# -- landmarks ------------------------------------------------------------------


def test_joints_are_centred_and_in_true_proportion() -> None:
    joints = joints_of(LANDMARKS, 4 / 3)
    hips = joints.xy[:, [JOINT["left_hip"], JOINT["right_hip"]]].mean(axis=1)
    assert np.abs(hips).max() < 1e-12
    wide = LANDMARKS.copy()
    wide[..., 0] /= 2
    assert joints_of(wide, 8 / 3).xy == pytest.approx(joints.xy, abs=1e-6)


@pytest.mark.parametrize(("where", "value"), [(3, 0.49), (0, 1.01), (1, -0.01), (1, np.nan)])
def test_a_joint_that_is_not_seen_weighs_nothing(where: int, value: float) -> None:
    landmarks = LANDMARKS[:1].copy()
    landmarks[0, PLACE["left_wrist"], where] = value
    joints = joints_of(landmarks, 4 / 3)
    assert joints.weights[0, JOINT["left_wrist"]] == 0
    assert (joints.weights[0] > 0).sum() == 12
    assert np.isfinite(joints.xy).all()


def test_without_hips_nothing_is_known_and_one_hip_will_do() -> None:
    landmarks = LANDMARKS[:1].copy()
    landmarks[0, PLACE["left_hip"], 3] = 0
    assert joints_of(landmarks, 4 / 3).torso[0] > 0
    landmarks[0, PLACE["right_hip"], 3] = 0
    joints = joints_of(landmarks, 4 / 3)
    assert joints.torso[0] == 0
    assert not joints.weights.any()


def test_a_mirror_swaps_sides_and_twice_is_none() -> None:
    xy = body()
    assert mirrored(xy) == pytest.approx(xy)  # symmetric
    xy[JOINT["left_wrist"]] = (1.0, -1.4)
    assert mirrored(xy)[JOINT["right_wrist"]] == pytest.approx((-1.0, -1.4))
    assert mirrored(mirrored(xy)) == pytest.approx(xy)
    assert [JOINTS[place] for place in MIRRORED[1:3]] == ["right_shoulder", "left_shoulder"]


# -- template --------------------------------------------------------------------


def test_joints_are_read_between_frames_but_not_over_gaps() -> None:
    joints = joints_of(LANDMARKS, 4 / 3)
    track = Track(TIMES_S, joints)
    xy, weights = track.at(np.array([1.0, 1.05, TIMES_S[-1], -0.1, TIMES_S[-1] + 0.1]))
    assert xy[0] == pytest.approx(joints.xy[10])
    assert xy[1] == pytest.approx((joints.xy[10] + joints.xy[11]) / 2)
    assert weights.any(axis=1).tolist() == [True, True, True, False, False]
    holes = np.r_[0:10, 10 + round(MAX_GAP_S / 0.1) + 1 : 40]
    gappy = Track(TIMES_S[holes], joints_of(LANDMARKS[holes], 4 / 3))
    assert not gappy.at(np.array([1.1]))[1].any()


def test_nobody_between_two_samples_is_not_bridged() -> None:
    landmarks = LANDMARKS.copy()
    landmarks[20] = 0
    track = Track(TIMES_S, joints_of(landmarks, 4 / 3))
    known = track.at(np.array([1.9, 1.95, 2.0, 2.05, 2.1]))[1].any(axis=1)
    assert known.tolist() == [True, False, False, False, True]


def test_size_does_not_matter_and_is_steady_through_a_bow() -> None:
    joints = joints_of(LANDMARKS, 4 / 3)
    small = joints._replace(xy=joints.xy / 3, torso=joints.torso / 3)
    one, other = (sample(TIMES_S, each, TIMES_S) for each in (joints, small))
    assert other.xy == pytest.approx(one.xy)
    assert other.weighted_motion == pytest.approx(one.weighted_motion)
    bowed = joints._replace(torso=np.where(np.arange(40) == 30, 0.01, joints.torso))
    assert np.abs(sample(TIMES_S, bowed, TIMES_S).xy).max() < 1.2 * np.abs(one.xy).max()


def test_a_template_loops_or_has_ends() -> None:
    template = Template(TIMES_S, joints_of(LANDMARKS, 4 / 3), 4.0)
    n = round(4.0 / STEP_S)
    assert len(template) == n
    steps = np.array([-1, 0, n - 1, n])
    assert template.places(steps, loop=True)[0].tolist() == [n - 1, 0, n - 1, 0]
    assert template.places(steps, loop=False)[1].tolist() == [False, True, True, False]
    assert template.expected.all()


# -- match ------------------------------------------------------------------------


def moments() -> Sample:
    return sample(TIMES_S, joints_of(LANDMARKS, 4 / 3), TIMES_S)


def direct_error(one: Sample, other: Sample, rows: range, lag: int) -> float:
    """E as the page writes it, one frame and one joint after another."""
    angles, shared, speeds = [], 0.0, 0.0
    for row in rows:
        weights = one.weights[row] * other.weights[row - lag]
        dot = size = their_size = 0.0
        for joint in range(13):
            p, r = one.xy[row, joint], other.xy[row - lag, joint]
            dot += weights[joint] * float(p @ r)
            size += weights[joint] * float(p @ p)
            their_size += weights[joint] * float(r @ r)
            v, u = one.motion[row, joint], other.motion[row - lag, joint]
            weight = one.motion_weights[row, joint] * other.motion_weights[row - lag, joint]
            shared += 2 * weight * float(v @ u)
            speeds += weight * float(v @ v + u @ u)
        angles.append(np.degrees(np.arccos(dot / np.sqrt(size * their_size))))
    e = 0.05**2 * 13 * len(rows)
    return float(np.mean(angles) + 20 * (1 - (shared + e) / (speeds + e)))


def test_e_is_what_the_page_says() -> None:
    one = moments()
    other = sample(TIMES_S, joints_of(Person(6).perform(motions.dance(5), TIMES_S), 4 / 3), TIMES_S)
    lags, rows = np.array([0, 3]), range(20, 30)
    sums = sum(compare(_row(one, row), other, row - lags) for row in rows)
    found = errors(np.asarray(sums), 5)
    for place, lag in enumerate(lags.tolist()):
        assert found[0, place] == pytest.approx(direct_error(one, other, rows, lag))


def _row(of: Sample, row: int) -> Sample:
    at = slice(row, row + 1)
    return Sample(of.xy[at], of.weights[at], of.motion[at], of.motion_weights[at])


def test_pairs_are_compared_as_single_frames_are() -> None:
    one = moments()
    pairs = compare_pairs(one, np.array([20, 21]), np.array([10, 15]))
    for place, (row, other) in enumerate(((20, 10), (21, 15))):
        assert pairs[:, place] == pytest.approx(
            compare(_row(one, row), one, np.array([other]))[:, 0, 0]
        )


def test_a_mirrored_version_is_that_of_mirrored_joints() -> None:
    row = _row(moments(), 25)
    both = versions(TIMES_S, joints_of(LANDMARKS, 4 / 3), float(TIMES_S[25]), [False, True])
    assert both.xy[0] == pytest.approx(row.xy[0])
    assert both.xy[1] == pytest.approx(mirrored(row.xy[0]))
    assert both.weighted_motion[1] == pytest.approx(
        (mirrored(row.motion[0]) * row.motion_weights[0, MIRRORED, None]).ravel()
    )


def test_too_few_frames_are_unknown() -> None:
    sums = np.array([30.0, 3, 0, 0, 3])
    assert errors(sums, 3) == pytest.approx(10)
    assert errors(sums, 4) == np.inf


def test_still_and_still_agree_but_still_and_moving_do_not() -> None:
    still = np.array([0.0, 10, 0, 0.001, 10])
    moving = np.array([0.0, 10, 0, 50, 10])
    assert errors(still, 1) == pytest.approx(0, abs=0.1)
    assert errors(moving, 1) == pytest.approx(20, abs=0.3)


# -- a reference against itself, and a performer against the rest of it ---------------


def template_of(motion: motions.Motion, seconds: float) -> Template:
    times_s = np.arange(0, seconds, 0.1)
    landmarks = Person(5).perform(motion, times_s)
    return Template(times_s, joints_of(landmarks, 4 / 3), seconds)


def test_a_reference_is_like_itself_a_period_before() -> None:
    template = template_of(motions.repeated(1), 12.0)
    (period,) = against_itself(template.sample, 20, [50])
    (half,) = against_itself(template.sample, 10, [50])
    assert (len(period), len(half)) == (100, 110)
    assert period[2:].max() < REPEATS_DEG < half[2:].min()  # the first know no motion


@pytest.mark.parametrize("shift", [0, 20, 119])
def test_what_is_before_a_loop_is_its_end(shift: int) -> None:
    template = template_of(motions.repeated(1), 12.0)
    short, long = against_itself(template.sample, shift, [10, 50], wraps=True)
    assert len(short) == len(long) == 120
    if shift % 20 == 0:
        assert max(short.max(), long.max()) < REPEATS_DEG


def test_who_is_nearer_elsewhere_is_doubted_and_who_is_nowhere_is_trusted() -> None:
    elsewhere = Elsewhere(template_of(motions.dance(1), 20.0), 5.0, loop=False)
    place, seen_s = 400, np.full(len(elsewhere.offsets), 5.0)
    far = np.full(len(elsewhere.offsets), 45.0)
    assert elsewhere.doubt_deg(25.0, far, seen_s, place, 0) == -3
    assert elsewhere.doubt_deg(25.0, far, seen_s / 5, place, 0) > -3  # too short to be sure
    assert elsewhere.doubt_deg(25.0, np.full_like(far, np.inf), seen_s, place, 0) == 0
    near = far.copy()
    near[elsewhere.offsets == 200] = 15.0  # five seconds on
    assert elsewhere.doubt_deg(25.0, near, seen_s, place, 0) > 10
    beside = far.copy()
    beside[elsewhere.offsets == 40] = 15.0  # one second is the same moment still
    assert elsewhere.doubt_deg(25.0, beside, seen_s, place, 0) == -3


def test_what_a_reference_repeats_is_no_other_moment() -> None:
    elsewhere = Elsewhere(template_of(motions.repeated(1), 12.0), 5.0, loop=True)
    place, seen_s = 240, np.full(len(elsewhere.offsets), 5.0)
    again = np.full(len(elsewhere.offsets), 45.0)
    again[elsewhere.offsets % 80 == 0] = 20.0  # each 2 s
    assert elsewhere.doubt_deg(23.0, again, seen_s, place, 0) < 0
    again[elsewhere.offsets == 120] = 20.0  # half a period off
    assert elsewhere.doubt_deg(23.0, again, seen_s, place, 0) > 0


# -- follow -----------------------------------------------------------------------

LAGS_S: Array = np.linspace(-1.2, 1.2, 49)


def profile(lag_s: float, least: float, version: int = 0, other: float = 45.0) -> Array:
    """E of two versions at LAGS_S: a valley in one of them."""
    table = np.full((2, len(LAGS_S)), other)
    table[version] = np.minimum(other, least + 60 * np.abs(LAGS_S - lag_s))
    return table


def follower(*, follows: bool = True) -> Follow:
    return Follow(LAGS_S, 33.0, follows=follows, settled=False)


def update(follow: Follow, table: Array, span_s: float, doubt_deg: float = 0.0) -> None:
    follow.update(table, span_s, lambda version, place: doubt_deg)


def test_a_clear_lag_is_jumped_to_and_a_doubtful_one_is_not() -> None:
    follow = follower()
    update(follow, profile(0.8, 28.0), span_s=1.0)
    assert (follow.lag_s, follow.found) == (0.0, False)
    update(follow, profile(0.8, 28.0), span_s=5.0)
    assert follow.lag_s == pytest.approx(0.8, abs=0.01)
    assert np.abs(LAGS_S[follow.tolerated] - 0.8).max() == pytest.approx(0.2)


def test_what_is_nearer_elsewhere_is_not_jumped_to_and_what_is_not_is_sooner() -> None:
    doubted, trusted = follower(), follower()
    update(doubted, profile(0.8, 20.0), span_s=5.0, doubt_deg=10.0)
    assert not doubted.found
    update(trusted, profile(0.8, 31.0), span_s=5.0)
    assert trusted.lag_s == 0.0
    update(trusted, profile(0.8, 31.0), span_s=5.0, doubt_deg=-3.0)
    assert trusted.lag_s == pytest.approx(0.8, abs=0.01)


def test_a_lag_that_moves_is_followed_between_the_steps() -> None:
    follow = follower()
    for lag_s in (0.0, 0.07, 0.13, 0.22, 0.31):
        table = profile(lag_s, 20.0)
        table[0] = 20 + 100 * (LAGS_S - lag_s) ** 2  # smooth, as E is
        update(follow, table, span_s=5.0)
        assert follow.lag_s == pytest.approx(lag_s, abs=0.005)


def test_the_mirror_is_settled_once() -> None:
    follow = follower()
    update(follow, profile(0.1, 20.0, version=1), span_s=2.0)
    assert (follow.version, follow.settled) == (1, False)
    update(follow, profile(0.1, 20.0, version=1), span_s=5.0)
    assert (follow.version, follow.settled) == (1, True)
    update(follow, profile(0.1, 10.0, version=0), span_s=5.0)
    assert follow.version == 1


def test_a_symmetric_dance_settles_nothing() -> None:
    follow = follower()
    both = np.minimum(profile(0.0, 20.0), profile(0.0, 22.0, version=1))
    update(follow, both, span_s=5.0)
    assert (follow.version, follow.settled, follow.found) == (0, False, True)


def test_what_no_longer_matches_is_forgotten() -> None:
    follow = follower()
    update(follow, profile(0.8, 20.0), span_s=5.0)
    update(follow, profile(0.8, 36.0), span_s=5.0)
    assert follow.lag_s == pytest.approx(0.8, abs=0.01)
    update(follow, profile(0.8, 44.0), span_s=5.0)
    assert (follow.lag_s, follow.found) == (0.0, False)


def test_who_does_not_follow_keeps_the_lag() -> None:
    follow = follower(follows=False)
    update(follow, profile(0.8, 10.0), span_s=5.0)
    assert (follow.lag_s, follow.found) == (0.0, True)
    assert follow.tolerated.all()


# -- limbs ------------------------------------------------------------------------


def moved(joint: str, to: tuple[float, float]) -> Array:
    xy = body()
    xy[JOINT[joint]] = to
    return xy


def compare_limbs(performer: Array, reference: Array, *, mirror: bool = False) -> Hint | None:
    ours, theirs = (np.repeat(each[None], 4, axis=0) for each in (performer, reference))
    seen = np.ones((4, 13))
    bones = bones_of(theirs, seen)
    _, lasting = limb_errors(bones_of(ours, seen), bones, usual_lengths(bones), 2)
    return hint_of(lasting, performer, mirrored=mirror)


@pytest.mark.parametrize(
    ("joint", "to", "words"),
    [
        ("left_wrist", (1.25, -0.65), "left forearm: 45 degrees too low"),
        ("left_wrist", (1.25, -1.35), "left forearm: 45 degrees too high"),
        ("right_ankle", (-0.6, 1.5), "right shin: 30 degrees too far out"),
        ("left_ankle", (-0.2, 1.5), "left shin: 30 degrees too far in"),
    ],
)
def test_hints_in_words(joint: str, to: tuple[float, float], words: str) -> None:
    assert str(compare_limbs(moved(joint, to), body())) == words


def test_a_mirrored_performers_side_is_given_back() -> None:
    hint = compare_limbs(moved("left_wrist", (1.25, -0.65)), body(), mirror=True)
    assert str(hint) == "right forearm: 45 degrees too low"


def test_the_bone_that_carries_the_error_is_named() -> None:
    xy = body()
    xy[JOINT["left_elbow"]], xy[JOINT["left_wrist"]] = (0.74, -0.61), (1.09, -0.26)
    hint = compare_limbs(xy, body())
    assert hint is not None
    assert hint.limb == "left upper arm"


def test_a_lean_is_told_by_the_performers_own_side() -> None:
    xy = body()
    xy[:7] += (0.4, 0.08)
    assert str(compare_limbs(xy, body())) == "torso: 25 degrees too far left"
    assert str(compare_limbs(xy, body(), mirror=True)) == "torso: 25 degrees too far right"


def test_in_profile_it_is_forward_and_back() -> None:
    side = body() * (0.1, 1.0)
    side[JOINT["nose"], 0] = 0.3  # looks to the right of the picture
    ahead = side.copy()
    ahead[JOINT["left_ankle"]] = (0.5, 1.5)
    assert str(compare_limbs(ahead, side)).endswith("too far forward")


def test_what_is_right_has_no_hint() -> None:
    assert compare_limbs(body(), body()) is None


def test_a_bone_that_points_at_the_camera_counts_little() -> None:
    reference, seen = np.repeat(body()[None], 10, axis=0), np.ones((10, 13))
    performer = reference.copy()
    # In 4 of 10 frames the forearm is a stump that points up.
    performer[:4, JOINT["left_wrist"]] = performer[:4, JOINT["left_elbow"]] + (0.0, -0.02)
    theirs = bones_of(reference, seen)
    found, _ = limb_errors(bones_of(performer, seen), theirs, usual_lengths(theirs), 10)
    assert found.degrees[LIMBS.index("left forearm")] == pytest.approx(0, abs=1e-6)


def test_an_unseen_limb_has_no_error() -> None:
    xy, seen = np.repeat(body()[None], 4, axis=0), np.ones((4, 13))
    hidden = seen.copy()
    hidden[:, JOINT["left_wrist"]] = 0
    theirs = bones_of(xy, seen)
    found, _ = limb_errors(bones_of(xy, hidden), theirs, usual_lengths(theirs), 4)
    unknown = [LIMBS[at] for at in np.flatnonzero(np.isnan(found.degrees))]
    assert unknown == ["left forearm"]


# -- scale, history, tally ------------------------------------------------------------


@pytest.mark.parametrize(
    ("error_deg", "score", "grade", "verdict"),
    [
        (0.0, 100, "perfect", CORRECT),
        (6.0, 100, "perfect", CORRECT),
        (19.5, 75, "great", CORRECT),
        (33.0, 50, "fair", CORRECT),
        (33.1, 49.64, "off", NOT_CORRECT),
        (40.0, 25, "off", NOT_CORRECT),
        (90.0, 0, "off", NOT_CORRECT),
    ],
)
def test_the_scale(error_deg: float, score: float, grade: str, verdict: str) -> None:
    found = Scale().score(error_deg)
    assert found == pytest.approx(score, abs=0.01)
    assert (grade_of(found), verdict_of(found)) == (grade, verdict)
    assert grade_of(found, hinted=True) == grade.replace("perfect", "great")


def test_a_history_keeps_its_rows_through_growing_and_dropping() -> None:
    history = History(time_s=float, pair=(2,))
    for number in range(3 * MAX_FRAMES):
        history.add(time_s=number)
        history.amend(pair=(number, -number))
        if number % 7 == 0:
            history.drop(3)
    n = len(history)
    assert 0 < n <= MAX_FRAMES
    expected = np.arange(3 * MAX_FRAMES - n, 3 * MAX_FRAMES)
    assert history["time_s"].tolist() == expected.tolist()
    assert history["pair"][:, 1].tolist() == (-expected).tolist()


def test_a_history_is_bounded() -> None:
    history = History(time_s=float)
    for number in range(2 * MAX_FRAMES):
        history.add(time_s=number)
    assert len(history) == MAX_FRAMES
    assert history["time_s"][-1] == 2 * MAX_FRAMES - 1


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_moments_are_apart_few_and_among_them_the_worst(seed: int) -> None:
    scores = np.random.default_rng(seed).uniform(0, 100, 600)
    tally = Tally()
    for number, score in enumerate(scores.tolist()):
        tally.add(number / 10, score, None, {}, correct=score >= 50)
    summary = tally.summary(lag_s=None, mirrored=False)
    assert 1 < len(summary.worst) <= WORST_MOMENTS
    assert min(each.score for each in summary.worst) == scores.min()
    assert np.diff([each.time_s for each in summary.worst]).min() >= APART_S
    assert summary.correct_share == pytest.approx((scores >= 50).mean())


def test_a_perfect_moment_is_none_of_the_worst() -> None:
    tally = Tally()
    for number in range(600):
        tally.add(number / 10, 90.0 + number % 10, None, {}, correct=True)
    assert tally.summary(lag_s=None, mirrored=False).worst == ()
    tally.add(70.0, 89.9, None, {}, correct=True)
    assert tally.summary(lag_s=None, mirrored=False).worst == (Moment(70.0, 89.9),)


def test_an_empty_session_has_a_summary() -> None:
    summary = Tally().summary(lag_s=None, mirrored=False)
    assert summary.frames == summary.scored == 0
    assert summary.mean_score is summary.correct_share is None
    assert summary.worst == ()


def test_seeded_people_are_the_same_each_time() -> None:
    person = Person(9)
    assert np.array_equal(LANDMARKS, Person(5).perform(motions.dance(5), TIMES_S))
    assert not np.array_equal(
        person.perform(motions.dance(5), TIMES_S),
        replace(person, seed=10).perform(motions.dance(5), TIMES_S),
    )
