"""The 33 points of a body by which poses are told: MediaPipe's, in its order."""

from __future__ import annotations

# Left and right are the person's own.
LANDMARK_NAMES = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer",
    "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
N_LANDMARKS = len(LANDMARK_NAMES)
PLACE = {name: place for place, name in enumerate(LANDMARK_NAMES)}

# Which points a line joins where a person is drawn, and the body's own bones among them.
_BONE_NAMES = (
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
)  # fmt: skip
_EXTREMITY_NAMES = (
    ("nose", "left_ear"), ("nose", "right_ear"),
    ("left_wrist", "left_index"), ("right_wrist", "right_index"),
    ("left_ankle", "left_heel"), ("left_heel", "left_foot_index"),
    ("right_ankle", "right_heel"), ("right_heel", "right_foot_index"),
)  # fmt: skip
BONES = tuple((PLACE[start], PLACE[end]) for start, end in _BONE_NAMES)
SKELETON = BONES + tuple((PLACE[start], PLACE[end]) for start, end in _EXTREMITY_NAMES)
