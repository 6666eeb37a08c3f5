"""Versions of models: as people say them, and in the order of semver.org."""

from __future__ import annotations

import random

import pytest

from gittrack.domain.version import Version
from gittrack.errors import InvalidName


@pytest.mark.parametrize(
    ("said", "meant"),
    [("3", "v3.0.0"), ("v3", "v3.0.0"), ("1.2", "v1.2.0"), ("v1.2.3", "v1.2.3"), ("1.0.0-rc.1+b.5", "v1.0.0-rc.1+b.5")],
)
def test_what_people_say(said: str, meant: str) -> None:
    assert str(Version.parse(said)) == meant
    assert Version.parse(meant) == Version.parse(said)


@pytest.mark.parametrize(
    "wrong", ["", "v", "latest", "01.2.3", "1.2.3.4", "1.2.3-", "v1.2.3 ", "1.2.3-01", "٣", "v" + "1" * 200]
)
def test_what_is_none(wrong: str) -> None:
    assert Version.read(wrong) is None
    with pytest.raises(InvalidName, match="no version"):
        Version.parse(wrong)


def test_the_order_of_semver() -> None:
    # The example of item 11.
    names = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.2.0 2"
    ordered = [Version.parse(name) for name in names.split()]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled) == ordered


def test_what_comes_next() -> None:
    one = Version.parse("1.2.3")
    assert [str(one.bump(part)) for part in ("major", "minor", "patch")] == ["v2.0.0", "v1.3.0", "v1.2.4"]
    assert str(Version.parse("2.0.0-rc.1").bump("patch")) == "v2.0.0"
    assert (Version(3).short, Version(3, 1).short) == ("v3", "v3.1.0")
