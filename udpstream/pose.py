"""Where a person's joints are in a picture: the one adapter to MediaPipe.

MediaPipe's landmarker in VIDEO mode follows one person from picture to picture, which
costs little more than half of finding them anew each time. It has two habits that do not
suit here, and both are taken from it:

- It smooths over time, which lags behind fast limbs, and makes what it finds depend on the
  pictures' time stamps. Time stamps that lie far apart switch the smoothing off: then the
  same pictures in the same order give the same poses, live as well as from a file.
- It follows whom it happened to find first. So now and then all people in the picture are
  looked for, and where another is clearly larger, the landmarker is made to follow that one.

`import udpstream.pose` does not load MediaPipe; the first `PoseTracker` does.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.codec import check_picture
from udpstream.adapters.figure import draw_figure
from udpstream.adapters.model import require_mediapipe
from udpstream.core.landmarks import BONES, PLACE
from udpstream.errors import PoseError

Landmarks = NDArray[np.float32]  # (33, 4): x, y, z, visibility

# Two seconds at 30 fps, at 3 % of the time: it costs as much as 1.6 pictures.
_LOOK_AROUND_PICTURES = 60
_MAX_PEOPLE = 3
_LARGER_WHEN_NEW = 1.05
_LARGER_WHEN_FOLLOWED = 1.25  # nobody loses their place to somebody who takes one step forward
_VISIBLE = 0.5
_MASK_MARGIN = 0.25  # of the person's box, on each side
# Hours: the slowest of MediaPipe's filters, of 0.01 Hz, then keeps a six-hundredth of the
# past; and its clock of 64-bit microseconds lasts for 900 million pictures.
_STEP_MS = 10_000_000

_TORSO = [PLACE[name] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_ERROR_OUTPUT = threading.Lock()
# To the end of its line, which may begin with a status line that has no end of its own.
_NATIVE_REMARK = re.compile(rb"((INFO|WARNING): |[IWE]\d{4} \d\d:\d\d:).*\n")


class PoseTracker:
    """Finds one person's pose in each picture of a stream; one tracker for one stream.

    Where there are several people, it is the largest one's, and stays that person's until
    another is clearly larger. Poses depend on the pictures and their order alone. Its calls
    must come one after the other; from which thread does not matter.
    """

    def __init__(self, model: Path) -> None:
        """Load MediaPipe and the model, which takes a second.

        Args:
            model: a pose landmarker's `.task` file; `adapters.model.find_model` has one.

        Raises:
            PoseError: MediaPipe is not installed or does not load, or the file is no such
                model.
        """
        require_mediapipe()
        self._following = False
        self._pictures = self._looked_at = 0
        with contextlib.ExitStack() as undo, _native_remarks_held_back():
            self._follower = undo.enter_context(contextlib.closing(_landmarker(model, "VIDEO", 1)))
            self._finder = undo.enter_context(
                contextlib.closing(_landmarker(model, "IMAGE", _MAX_PEOPLE))
            )
            self._warm_up(model)
            self._close = undo.pop_all().close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the model; may be called again."""
        self._close()

    def find(self, image_bgr: NDArray[np.uint8]) -> Landmarks | None:
        """Find the pose in the stream's next picture.

        Args:
            image_bgr: `(H, W, 3)` uint8 BGR, of any size, which may change.

        Returns:
            `(33, 4)` float32: x and y in shares of the picture's width and height, z, and
            visibility, 0 to 1; in MediaPipe's order. Points outside the picture are guessed,
            and have visibility 0; that of others takes some pictures to settle when it
            changes. None where nobody was found.

        Raises:
            FrameError: the array is not a picture.
            PoseError: MediaPipe failed.
        """
        check_picture(image_bgr)
        image_rgb = _rgb(image_bgr)
        pose = self._follow(image_rgb)
        is_new = not self._following
        if pose is not None and (
            is_new or self._pictures - self._looked_at > _LOOK_AROUND_PICTURES
        ):
            pose = self._largest(image_rgb, pose, is_new=is_new)
            self._looked_at = self._pictures
        self._following = pose is not None
        return pose

    def _warm_up(self, model: Path) -> None:
        """Have the slow first runs of the networks, and the remarks, behind us.

        The follower sees nobody: it would remember how visible each point was.
        """
        image_rgb = _rgb(draw_figure())
        if not self._everybody(image_rgb):
            raise PoseError(f"{model} does not find a person where there is one: use another")
        self._follow(np.zeros_like(image_rgb))

    def _follow(self, image_rgb: NDArray[np.uint8]) -> Landmarks | None:
        self._pictures += 1
        with _mediapipe_errors("MediaPipe failed on a picture"):
            found = self._follower.detect_for_video(_picture(image_rgb), self._pictures * _STEP_MS)
        return _landmarks(found.pose_landmarks[0]) if found.pose_landmarks else None

    def _everybody(self, image_rgb: NDArray[np.uint8]) -> list[Landmarks]:
        with _mediapipe_errors("MediaPipe failed on a picture"):
            found = self._finder.detect(_picture(image_rgb))
        return [_landmarks(points) for points in found.pose_landmarks]

    def _largest(
        self, image_rgb: NDArray[np.uint8], followed: Landmarks, *, is_new: bool
    ) -> Landmarks:
        """Look for all people; return the pose of the one to follow, and follow that one."""
        poses = self._everybody(image_rgb)
        if not poses:
            return followed
        height, width = image_rgb.shape[:2]
        pixels = np.array((width, height))
        largest = max(poses, key=lambda pose: _size_px(pose, pixels))
        factor = _LARGER_WHEN_NEW if is_new else _LARGER_WHEN_FOLLOWED
        larger = _size_px(largest, pixels) > factor * _size_px(followed, pixels)
        if not larger or _same_person(largest, followed, pixels):
            return followed
        # The landmarker cannot be told whom to follow. But it forgets whom it followed when
        # nobody is there, and then finds the only one that is left to see.
        self._follow(np.zeros_like(image_rgb))
        steered = self._follow(_only(image_rgb, largest))
        return largest if steered is None else steered


def _rgb(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cast(NDArray[np.uint8], cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB))


def _landmarker(model: Path, mode: str, n_people: int) -> Any:
    with _mediapipe_errors(f"{model} cannot be used as a pose model"):
        from mediapipe.tasks.python import BaseOptions, vision

        return vision.PoseLandmarker.create_from_options(
            vision.PoseLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(model)),
                running_mode=vision.RunningMode[mode],
                num_poses=n_people,
            )
        )


def _picture(image_rgb: NDArray[np.uint8]) -> Any:
    from mediapipe import Image, ImageFormat

    return Image(image_format=ImageFormat.SRGB, data=image_rgb)


def _landmarks(points: Any) -> Landmarks:
    pose = np.array([(each.x, each.y, each.z, each.visibility) for each in points], np.float32)
    xy, visibility = pose[:, :2], pose[:, 3]
    inside = np.all((xy >= 0) & (xy <= 1), axis=1)
    pose[:, 3] = np.where(inside, np.clip(visibility, 0, 1), 0)
    return pose


def _size_px(pose: Landmarks, pixels: NDArray[np.int_]) -> float:
    """Return how much of a body is to be seen: the length of its visible bones.

    A box around the body would grow with every arm that is raised.
    """
    starts, ends = np.array(BONES).T
    visible = (pose[starts, 3] > _VISIBLE) & (pose[ends, 3] > _VISIBLE)
    lengths = np.linalg.norm((pose[starts, :2] - pose[ends, :2]) * pixels, axis=1)
    return float(lengths[visible].sum())


def _same_person(one: Landmarks, other: Landmarks, pixels: NDArray[np.int_]) -> bool:
    """Tell whether two poses of one picture have their trunks in one place."""
    trunk, other_trunk = one[_TORSO, :2] * pixels, other[_TORSO, :2] * pixels
    apart = np.linalg.norm(trunk.mean(axis=0) - other_trunk.mean(axis=0))
    return bool(apart < 0.5 * np.linalg.norm(trunk.max(axis=0) - trunk.min(axis=0)))


def _only(image_rgb: NDArray[np.uint8], pose: Landmarks) -> NDArray[np.uint8]:
    """Return a picture that is black but for the surroundings of one person."""
    height, width = image_rgb.shape[:2]
    low, high = pose[:, :2].min(axis=0), pose[:, :2].max(axis=0)
    margin = _MASK_MARGIN * (high - low)
    left, top = (np.clip(low - margin, 0, 1) * (width, height)).astype(int)
    right, bottom = np.ceil(np.clip(high + margin, 0, 1) * (width, height)).astype(int)
    masked = np.zeros_like(image_rgb)
    masked[top:bottom, left:right] = image_rgb[top:bottom, left:right]
    return masked


@contextlib.contextmanager
def _mediapipe_errors(what: str) -> Iterator[None]:
    """Turn what MediaPipe raises into ours."""
    try:
        yield
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if reason.startswith("lib") and ".so" in reason:  # said by the loader
            raise PoseError(
                f"MediaPipe cannot be loaded: {reason}. "
                "On Debian or Ubuntu: sudo apt install libegl1 libgles2"
            ) from error
        raise PoseError(f"{what}: {reason}") from error


@contextlib.contextmanager
def _native_remarks_held_back() -> Iterator[None]:
    """Keep what MediaPipe's native code writes to the error output off it.

    It has no switch for that. So the process's error output goes to a file meanwhile, and
    what is not such a remark is passed on afterwards.
    """
    with _ERROR_OUTPUT, tempfile.TemporaryFile() as held, contextlib.ExitStack() as undo:
        try:
            error_output = os.dup(2)
        except OSError:  # it is closed, so nobody minds
            yield
            return
        undo.callback(os.close, error_output)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(error_output, 2)
            held.seek(0)
            os.write(2, _NATIVE_REMARK.sub(b"", held.read()))
