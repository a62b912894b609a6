from __future__ import annotations

import numpy as np
import pytest

from tests.recording_tools import make_frame, make_stream, picture
from udpstream.errors import FrameError
from udpstream.protocol import Codec


def test_the_image_is_decoded_once() -> None:
    frame = make_frame(make_stream(), 3)
    assert frame.image is frame.image
    assert frame.image.shape == (48, 64, 3)


def test_a_raw_image_is_the_payload_itself_and_read_only() -> None:
    frame = make_frame(make_stream(), 3, codec=Codec.RAW)
    assert np.array_equal(frame.image, picture(3))
    assert not frame.image.flags.writeable
    assert frame.payload.readonly


def test_a_broken_payload_is_a_frame_error_and_only_when_looked_at() -> None:
    frame = make_frame(make_stream(), 3, payload=b"\xff\xd8 not a jpeg")
    assert frame.number == 3
    with pytest.raises(FrameError):
        frame.image  # noqa: B018
