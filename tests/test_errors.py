from __future__ import annotations

import inspect

import pytest

from udpstream import errors
from udpstream.errors import UdpStreamError

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass)]


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    assert errors.__doc__ is not None
    for each in CLASSES:
        assert each.__name__ in errors.__doc__
    assert errors.__doc__.count("Error (") == len(CLASSES) - 1


@pytest.mark.parametrize("error", [each for each in CLASSES if each is not UdpStreamError])
def test_each_is_ours_and_a_builtin_too(error: type[Exception]) -> None:
    ours, builtin = error.__bases__
    assert ours is UdpStreamError
    assert f"{error.__name__} ({builtin.__name__})" in str(errors.__doc__)
    assert builtin.__module__ == "builtins"
    with pytest.raises(UdpStreamError, match="what happened"):
        raise error("what happened")


def test_parsers_errors_are_datagram_errors() -> None:
    from udpstream.protocol import UnknownKindError, UnknownVersionError

    assert issubclass(UnknownKindError, errors.DatagramError)
    assert issubclass(UnknownVersionError, errors.DatagramError)
