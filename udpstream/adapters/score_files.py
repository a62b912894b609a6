"""Scores on disk: ``scores.csv`` as they come, ``result.json`` and ``result.png`` at the end."""

from __future__ import annotations

import contextlib
import csv
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from udpstream.adapters.recorder import Recorder, make_folder, session_name
from udpstream.adapters.score_plot import Page, ScorePlot, draw_page
from udpstream.adapters.whole_file import whole_file
from udpstream.core.pose.scale import grade_of, verdict_of
from udpstream.core.pose.tally import Summary
from udpstream.core.reference import HEADER as REFERENCE_HEADER
from udpstream.core.tallies import ByStream
from udpstream.errors import PoseError, RecordingError, UdpStreamError
from udpstream.frame import Stream
from udpstream.scored import Scored
from udpstream.scoring import LIMBS

SCORES = "scores.csv"
RESULT = "result.json"
PLOT = "result.png"

_HEAD = (
    "frame", "time_s", "reference_s", "lag_s", "score", "verdict", "grade", "reason", "hint",
    "mirrored",
)  # fmt: skip
_LIMBS = tuple(f"{limb.replace(' ', '_')}_deg" for limb in LIMBS)
_, _ASPECT, _SEEN, *LANDMARKS = REFERENCE_HEADER
# With the columns of a reference, so that a performance can be the next one's.
HEADER = (*_HEAD, *_LIMBS, _ASPECT, _SEEN, *LANDMARKS)


class ScoreFolders:
    """Names each stream's folder: that of its recording, or one of its own."""

    def __init__(self, directory: Path, recorder: Recorder | None) -> None:
        """Make nothing yet.

        Args:
            directory: where folders are made, named as those of recordings are, for
                streams that are not recorded.
            recorder: whose folders to use; None where nothing is recorded.
        """
        self._directory = directory
        self._recorder = recorder
        self._lock = threading.Lock()
        self._made: ByStream[Path] = ByStream()

    def __call__(self, stream: Stream) -> Path:
        """Return the folder, which exists; it may wait for the disk.

        Raises:
            RecordingError: it could not be made.
        """
        if self._recorder is not None:
            folder = self._recorder.folder(stream)
            if folder is None:
                raise RecordingError("there is no folder for them, nor for the recording")
            return folder
        with self._lock:
            folder = self._made.get(stream)
            if folder is None:
                folder = self._make(stream)
                self._made.put(stream, folder)
            return folder

    def _make(self, stream: Stream) -> Path:
        with contextlib.suppress(OSError):  # make_folder says why
            self._directory.mkdir(parents=True, exist_ok=True)
        return make_folder(self._directory / session_name(time.time(), stream.camera))


class ScoreFiles:
    """Writes each stream's scores to its folder, as a `scored.ScoreSink`.

    ``scores.csv`` has a row for each frame as soon as it was scored, so that little is lost
    however the process ends. ``result.json`` and ``result.png`` follow when the session is
    over. Where the disk fails, that is said once a stream, and the rest goes on.
    """

    def __init__(
        self,
        folder_of: Callable[[Stream], Path],
        about: Mapping[str, object],
        say: Callable[[str], None],
        *,
        details: Callable[[Stream], Mapping[str, object]] | None = None,
        draw: Callable[[Page], bytes] = draw_page,
    ) -> None:
        """Write nothing yet.

        Args:
            folder_of: names the folder of a stream's files, which exists; may raise
                RecordingError.
            about: what ``result.json`` is to say of how it was scored.
            say: prints a line; may be called on any thread.
            details: tells what more it is to say of a stream in the end.
            draw: makes ``result.png``; may raise PoseError.
        """
        self._folder_of = folder_of
        self._about = dict(about)
        self._say = say
        self._details = details
        self._draw = draw
        self._lock = threading.Lock()
        self._open: dict[Stream, _Files] = {}  # guarded by the lock
        self._written: ByStream[list[Path]] = ByStream()  # and so is this

    def scored(self, scored: Scored) -> None:
        """Write a row."""
        with self._lock:
            files = self._open.get(scored.stream)
        if files is None:
            files = _Files(scored.stream, self._folder_of, self._say)
            with self._lock:
                self._open[scored.stream] = files
        files.add(scored)

    def ended(self, stream: Stream, summary: Summary) -> None:
        """Write the result of the session."""
        with self._lock:
            files = self._open.pop(stream, None)
        if files is None:
            return
        details = {} if self._details is None else self._details(stream)
        result = {
            "camera": stream.camera,
            "sender": stream.address,
            **summary_dict(summary),
            **details,
            "scoring": self._about,
        }
        reference = str(self._about.get("reference", ""))
        written = files.finish(summary, result, reference, self._draw)
        with self._lock:
            self._written.put(stream, written)

    def written(self, stream: Stream) -> list[Path]:
        """Return the files of a session that is over, as far as they could be written."""
        with self._lock:
            return self._written.get(stream) or []


class _Files:
    """One session's. They are tried to the end; what goes wrong first is said."""

    def __init__(
        self, stream: Stream, folder_of: Callable[[Stream], Path], say: Callable[[str], None]
    ) -> None:
        self._camera = stream.camera
        self._say = say
        self._failed = False
        self._plot = ScorePlot()
        self._folder: Path | None = None
        self._file: TextIO | None = None
        with self._trying():
            self._folder = folder_of(stream)
            # buffering=1: a line goes to the system as soon as it is whole
            self._file = (self._folder / SCORES).open(
                "w", buffering=1, encoding="utf-8", newline=""
            )
            csv.writer(self._file, lineterminator="\n").writerow(HEADER)

    def add(self, scored: Scored) -> None:
        self._plot.add(scored)
        if self._file is not None and not self._failed:
            with self._trying():
                csv.writer(self._file, lineterminator="\n").writerow(_row(scored))

    def finish(
        self,
        summary: Summary,
        result: Mapping[str, object],
        reference: str,
        draw: Callable[[Page], bytes],
    ) -> list[Path]:
        """Write the rest, and return all files there are."""
        if self._file is not None:
            with self._trying():
                self._file.close()
        if self._folder is None:
            return []
        with self._trying(), whole_file(self._folder / RESULT) as part:
            part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        with self._trying(), whole_file(self._folder / PLOT) as part:
            part.write_bytes(draw(self._plot.page(summary, self._camera, reference)))
        paths = [self._folder / name for name in (SCORES, RESULT, PLOT)]
        return [path for path in paths if path.exists()]

    @contextlib.contextmanager
    def _trying(self) -> Iterator[None]:
        try:
            yield
        except (OSError, PoseError) as error:
            if not self._failed:
                self._failed = True
                why = str(error) if isinstance(error, UdpStreamError) else error.strerror
                self._say(f"cannot write the scores of {self._camera}: {why}; scoring goes on")


def summary_dict(summary: Summary) -> dict[str, object]:
    """Return a summary in the form of ``result.json``, ``session.json`` and ``--stats``."""
    mean = summary.mean_score
    return {
        "frames": summary.frames,
        "scored_frames": summary.scored,
        "mean_score": _rounded(mean, 1),
        "verdict": None if mean is None else verdict_of(mean),
        "grade": None if mean is None else grade_of(mean),
        "correct_share": _rounded(summary.correct_share, 4),
        "unscored": dict(summary.unscored),
        "limbs_deg": {limb: _rounded(deg, 1) for limb, deg in summary.limbs_deg.items()},
        "lag_s": _rounded(summary.lag_s, 3),
        "mirrored": summary.mirrored,
        "worst": [
            {"time_s": _rounded(each.time_s, 3), "score": _rounded(each.score, 1)}
            for each in summary.worst
        ],
    }


def _row(scored: Scored) -> list[object]:
    result = scored.result
    numbers: list[object] = [None] * len(LANDMARKS)
    seen = scored.landmarks is not None and bool((scored.landmarks[:, 3] > 0).any())
    if scored.landmarks is not None and seen:
        numbers = list(scored.landmarks.ravel())
    return [
        scored.frame,
        _rounded(scored.time_s, 6),
        _rounded(result.reference_s, 3),
        _rounded(result.lag_s, 3),
        _rounded(result.score, 2),
        result.verdict,
        result.grade,
        result.reason,
        None if result.hint is None else str(result.hint),
        int(result.mirrored),
        *(_rounded(result.limbs_deg[limb], 1) for limb in LIMBS),
        round(scored.aspect, 6),
        int(seen),
        *numbers,
    ]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
