"""Names of git tags: what we write GTO reads as the same, and what is none of ours is let alone."""

from __future__ import annotations

import gto.constants
import gto.tag
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.version import Version
from gittrack.errors import InvalidName
from gittrack.registry.tagname import (
    Action,
    check_alias,
    check_model,
    has_tag,
    parse_sequence,
    parse_tag,
    sequence_ref,
    tag_name,
)

NAMES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9_/-]{0,20}[a-zA-Z0-9])?", fullmatch=True).filter(
    lambda name: "//" not in name and "/-" not in name
)
VERSIONS = st.builds(Version, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.sampled_from(["", "rc.1"]))
SAME = {
    Action.REGISTER: gto.constants.Action.REGISTER,
    Action.ASSIGN: gto.constants.Action.ASSIGN,
    Action.UNASSIGN: gto.constants.Action.UNASSIGN,
    Action.DEPRECATE: gto.constants.Action.DEREGISTER,
    Action.RETIRE: gto.constants.Action.DEPRECATE,
}


@given(model=NAMES, action=st.sampled_from(Action), version=VERSIONS, stage=NAMES, number=st.integers(1, 9999))
def test_what_we_write_everybody_reads_alike(
    model: str, action: Action, version: Version, stage: str, number: int
) -> None:
    name = tag_name(action, model, version, stage, number)
    found = parse_tag(name)
    theirs = gto.tag.parse_name(name, raise_on_fail=False)
    if not has_tag(action):
        assert not theirs or found is None or found.action is not action
        return
    assert found is not None
    assert (found.model, found.action) == (model, action)
    assert (theirs["name"], theirs["action"]) == (model, SAME[action])
    if action in (Action.REGISTER, Action.DEPRECATE):
        assert (found.version, theirs["version"]) == (version, str(version))
    if action in (Action.ASSIGN, Action.UNASSIGN):
        assert found.stage == theirs["stage"] == stage
    assert found.number == theirs.get("counter")


@given(model=NAMES, number=st.integers(1, 10**8))
def test_numbers_of_one_model_lie_in_nobodys_way(model: str, number: int) -> None:
    assert parse_sequence(sequence_ref(model, number)) == (model, number)
    assert sequence_ref(model, number).count("/") == 4


@pytest.mark.parametrize(
    "name",
    [
        "v1.2.3",
        "release",
        "a@1.0.0",
        "a@v1",
        "a@v1.0.0#3",
        "a@v1.0.0!",
        "a#prod",
        "a#prod!",
        "a#prod#0",
        "a@deprecated",
        "a.b@v1.0.0",
    ],
)
def test_tags_of_other_people(name: str) -> None:
    assert parse_tag(name) is None


@pytest.mark.parametrize("name", ["", "a.b", "-a", "a-", "a b", "ä", "a" * 101, "a//b", "a@b", "a/-b"])
def test_names_that_git_or_the_grammar_forbids(name: str) -> None:
    with pytest.raises(InvalidName, match="cannot name a model"):
        check_model(name)


@pytest.mark.parametrize("name", ["latest", "none", "v3", "1.2.0", ""])
def test_aliases_that_mean_something_else(name: str) -> None:
    with pytest.raises(InvalidName):
        check_alias(name)
    assert check_alias("champion") == "champion"
