"""The update hook of a bare repository: what a server lets become of models, ledgers and runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.git.repository import Repository
from gittrack.registry.tagname import Action, sequence_ref
from tests.hooks.served import HERE, ROOT, Served, install, served
from tests.models.conftest import sign_with_ssh, ssh_key

__all__ = ["served"]


def test_what_the_commands_do_passes(served: Served) -> None:
    jane = served.jane
    for words in (
        "model register digits deep -m third",
        "promote digits@v2 production",
        "promote digits@v3 staging",
        "model alias set digits@v3 challenger",
        "model rollback digits production",
        "model demote digits@v3",
        "model deprecate digits@v3",
    ):
        assert "in force on origin" in jane.gittrack(*words.split()).stderr, words
    jane.gittrack("tag", "net", "seen=jane")
    jane.gittrack("push")
    served.passes("refs/experiments/*:refs/experiments/*")
    numbers = served.bare.git("for-each-ref", "refs/gittrack/seq/").splitlines()
    assert len(numbers) == len(served.model.events) == 12
    assert json.loads(jane.gittrack("model", "verify", "digits@production", "--json").stdout)["ok"]


def test_changes_made_without_the_remote_pass_later(served: Served) -> None:
    registrar = served.project.models.registrar
    registrar.promote("digits", "v2", "staging", share=HERE)
    registrar.promote("digits", "v2", "production", share=HERE)
    # With the tags alone, and none of the numbers; then with both, at once.
    served.passes("--tags")
    served.passes("--atomic", "refs/gittrack/seq/*:refs/gittrack/seq/*")
    numbers = served.bare.git("for-each-ref", "refs/gittrack/seq/").splitlines()
    assert len(numbers) == len(served.model.events) > 5


def test_two_events_of_one_push_pass_together_and_not_without_the_first(served: Served) -> None:
    registrar = served.project.models.registrar
    for who in ("v1", "v2"):
        registrar.set_alias("digits", who, f"champion-{who}", share=HERE)
    fourth, fifth = (sequence_ref("digits", number) for number in (4, 5))
    assert in_the_guide(served.refused(fifth), f"gittrack-update: {fifth}: event 4 of digits is missing before it")
    served.passes("--atomic", fifth, fourth)


def in_the_guide(said: str, beginning: str) -> bool:
    """Whether a line that begins so was said, and the page of this hook shows it word for word."""
    page = (ROOT / "docs" / "guide" / "guards" / "update.md").read_text()
    lines = [line.rstrip() for line in said.splitlines() if line.startswith(f"remote: {beginning}")]
    return bool(lines) and lines[0] in page


Push = Callable[[Served], tuple[str, ...]]
SEQ = "refs/gittrack/seq/digits"


def number_anew(one: Served) -> tuple[str, ...]:
    event = one.made(one.draft(Action.APPROVE))[0]
    return (f"{event.object}:{SEQ}/5",)


def taken_number(one: Served) -> tuple[str, ...]:
    """Event 3 once more, with another content, under a tag that is not there yet."""
    before = one.model.events[:2]
    from gittrack.git.objects import Signature
    from gittrack.registry.record import build
    from gittrack.registry.state import Model

    who = Signature("Jane <jane@example.org>", before[-1].time + 1)
    draft = one.draft(Action.ASSIGN, place="staging", **one.no_policy())
    made = build(Repository.discover(one.jane.path), Model("digits", events=before), [draft], who)[0]
    return (f"{made.object}:refs/tags/{made.tag}",)


def bad_message(one: Served) -> tuple[str, ...]:
    one.jane.git("tag", "-a", "-m", "by hand", "digits@v3.0.0")
    return ("digits@v3.0.0",)


def lightweight(one: Served) -> tuple[str, ...]:
    one.jane.git("tag", "digits@v3.0.0")
    return ("digits@v3.0.0",)


def on_no_run(one: Served) -> tuple[str, ...]:
    from gittrack.domain.version import Version
    from gittrack.registry.record import Draft

    held = one.model.events[0]
    head = one.jane.git("rev-parse", "HEAD")
    made = one.made(Draft(Action.REGISTER, head, held.run, Version(3), details=held.details))[0]
    return (f"{made.object}:{SEQ}/4",)


def on_another_run(one: Served) -> tuple[str, ...]:
    from gittrack.domain.version import Version
    from gittrack.registry.record import Draft

    first, second = one.model.events[:2]
    made = one.made(Draft(Action.REGISTER, first.commit, second.run, Version(3), details=first.details))[0]
    return (f"{made.object}:{SEQ}/4",)


def not_let_in(one: Served) -> tuple[str, ...]:
    made = one.made(one.draft(Action.UNASSIGN, 1, "production"), one.draft(Action.ASSIGN, 2, "production"))
    return ("--atomic", *(f"{event.object}:{SEQ}/{event.number}" for event in made))


def never_there(one: Served) -> tuple[str, ...]:
    mark = {"rollback": ["v1.0.0"], **one.no_policy()}
    made = one.made(
        one.draft(Action.UNASSIGN, 1, "production", rollback=["v1.0.0"]),
        one.draft(Action.ASSIGN, 2, "production", **mark),
    )
    return ("--atomic", *(f"{event.object}:{SEQ}/{event.number}" for event in made))


def too_many(one: Served) -> tuple[str, ...]:
    made = one.made(one.draft(Action.ASSIGN, 2, "production", **one.no_policy()))[0]
    return (f"{made.object}:{SEQ}/4",)


def not_there(one: Served) -> tuple[str, ...]:
    return (f"{one.made(one.draft(Action.UNASSIGN, 2, 'production'))[0].object}:{SEQ}/4",)


def from_the_future(one: Served) -> tuple[str, ...]:
    return (f"{one.made(one.draft(Action.APPROVE), time=10_000_000_000)[0].object}:{SEQ}/4",)


REFUSED: dict[str, tuple[Push, str]] = {
    "forced": (lambda one: ("--force", f"{one.model.events[1].object}:{SEQ}/1"), "never moved"),
    "a forced tag": (lambda one: ("+refs/tags/digits@v2.0.0:refs/tags/digits@v1.0.0",), "never moved"),
    "deleted": (lambda one: ("--delete", f"{SEQ}/3"), "never deleted"),
    "a deleted tag": (lambda one: ("--delete", "refs/tags/digits#production#3"), "never deleted"),
    "renumbered": (number_anew, "it holds event 4 of digits"),
    "renamed": (lambda one: ("refs/tags/digits@v1.0.0:refs/tags/digits@v3.0.0",), "it holds the tag digits@v1.0.0"),
    "a number that is taken": (taken_number, "event 3 of digits is another one here"),
    "a bad message": (bad_message, "it was not made by gittrack"),
    "lightweight": (lightweight, "it is a lightweight tag"),
    "nearly the grammar": (
        lambda one: ("refs/tags/digits@v1.0.0:refs/tags/digits@v1",),
        "no event of it has such a tag",
    ),
    "no number": (lambda one: (f"{one.model.events[0].object}:{SEQ}/first",), "has such a number"),
    "on no run": (on_no_run, "is no run and stands on none"),
    "on another run": (on_another_run, "is run"),
    "not let in": (not_let_in, "it does not say which policy let it into production"),
    "never there": (never_there, "brought back to production, where it was not"),
    "too many": (too_many, "2 versions would be in production, which has room for 1"),
    "not there": (not_there, "version v2.0.0 was not in production"),
    "from the future": (from_the_future, "its time is more than a day ahead"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_event_that_follows_is_refused(served: Served, case: str) -> None:
    push, words = REFUSED[case]
    said = served.refused(*push(served))
    assert words in said
    assert "remote: gittrack-update: refs/" in said
    assert "Traceback" not in said


def test_other_refs_are_none_of_its_business(served: Served) -> None:
    jane = served.jane
    jane.git("tag", "v1.0")
    jane.git("tag", "-a", "-m", "a package", "parts@1.0.0")
    jane.git("tag", "issue#12")
    jane.commit("More code")
    served.passes("main", "v1.0", "parts@1.0.0", "issue#12", "main:refs/notes/x", "main:refs/experiments/_other")
    served.passes("--force", "main~1:refs/heads/main")
    served.passes("--delete", "v1.0")


def test_a_tag_that_never_got_its_number_may_be_taken_away(served: Served) -> None:
    registrar = served.project.models.registrar
    tag = registrar.promote("digits", "v2", "staging", share=HERE).events[-1].tag
    served.passes(f"refs/tags/{tag}")
    served.passes("--delete", f"refs/tags/{tag}")
    served.passes(f"refs/tags/{tag}", f"{SEQ}/4")
    assert "never deleted" in served.refused("--delete", f"refs/tags/{tag}")


# --- the policy


POLICY = "registry: {stages: {production: {override: %s, policy: [clean, acc >= 0.15, {people: ['*@example.org']}]}}}\n"


def test_the_policy_of_the_server_decides(served: Served) -> None:
    registrar = served.project.models.registrar
    # Made under no policy, and pushed when there is one.
    late = registrar.promote("digits", "v2", "production", share=HERE).events
    served.settings(POLICY % "true")
    said = served.refused("--atomic", *(sequence_ref("digits", one.number) for one in late))
    assert "nobody looked at the rule 'clean' when it was let into production" in said
    for ref in served.jane.git("for-each-ref", "--format=%(refname)").splitlines():
        if any(ref == f"refs/tags/{one.tag}" or ref == sequence_ref("digits", one.number) for one in late):
            served.jane.git("update-ref", "-d", ref)
    assert "in force on origin" in served.jane.gittrack("promote", "digits@v2", "production").stderr
    # Who lies about what was found, and who passes over a rule.
    found = [
        {**one.to_dict(), "ok": True} for one in registrar.promote("digits", "v1", "production", dry_run=True).checks
    ]
    rules = {**served.no_policy(), "checks": found}
    lie = served.made(
        served.draft(Action.UNASSIGN, 2, "production"), served.draft(Action.ASSIGN, 1, "production", **rules)
    )
    said = served.refused("--atomic", *(f"{one.object}:{SEQ}/{one.number}" for one in lie))
    assert "acc >= 0.15: acc is 0.1; nothing of it is in force here" in said
    said = served.jane.gittrack("promote", "digits@v1", "production", "--override", "We must").stderr
    assert "in force on origin" in said


@pytest.mark.parametrize("atomic", [True, False])
def test_a_policy_that_comes_in_the_same_push_does_not_count_yet(served: Served, atomic: bool) -> None:
    served.settings("registry: {stages: {production: {policy: [acc >= 0.9]}}}\n")
    served.jane.write(".gittrack/config.yaml", "")
    weaker = served.jane.commit("Demand nothing")
    details = {"policy": {"branch": "main", "commit": weaker}}
    made = served.made(
        served.draft(Action.UNASSIGN, 1, "production"), served.draft(Action.ASSIGN, 2, "production", **details)
    )
    refs = [f"{one.object}:{SEQ}/{one.number}" for one in made]
    if atomic:
        assert "is none of the default branch" in served.refused("--atomic", "main", *refs)
    else:
        done = served.push("main", *refs)
        assert "is none of the default branch" in done.stderr
        assert sequence_ref("digits", made[-1].number) not in served.refs
    # Afterwards it counts.
    served.passes("main")
    served.passes(*refs)


def test_signatures_count_as_the_default_branch_says(served: Served, tmp_path: Path) -> None:
    jane, eve = (ssh_key(tmp_path, name) for name in ("jane", "eve"))
    served.jane.write(".gittrack/allowed_signers", f"jane@example.org {jane.with_suffix('.pub').read_text()}")
    served.settings("registry: {sign: true}\n")
    approve = served.draft(Action.APPROVE)
    unsigned = served.made(approve)[0]
    assert "it is not signed, and registry.sign on the default branch" in served.refused(f"{unsigned.object}:{SEQ}/4")
    sign_with_ssh(served.jane, eve)
    stranger = served.made(approve, sign=True)[0]
    said = served.refused(f"{stranger.object}:{SEQ}/4")
    assert "signed by a key that no allowed-signers file knows" in said
    sign_with_ssh(served.jane, jane)
    assert "in force on origin" in served.jane.gittrack("promote", "digits@v2", "staging").stderr


# --- ledgers and runs


def shared(served: Served) -> str:
    """The ref of Jane's ledger, on the server too, with two pages of runs."""
    served.jane.gittrack("push")
    served.jane.gittrack("tag", "net", "seen=jane")
    served.jane.gittrack("push")
    return served.jane.git("for-each-ref", "--format=%(refname)", "refs/experiments/_ledger/")


def test_a_ledger_only_grows(served: Served) -> None:
    ledger = shared(served)
    assert "commit of the ledger would be gone" in served.refused("--force", f"{ledger}~1:{ledger}")
    assert "a ledger is never deleted" in served.refused("--delete", ledger)
    assert "is not a page of a ledger" in served.refused(f"main:{ledger}-x")
    assert "no writer can be called that" in served.refused(f"{ledger}:refs/experiments/_ledger/part-1")


def test_a_damaged_page_is_refused(served: Served) -> None:
    ledger = shared(served)
    jane = served.jane
    page = jane.git("cat-file", "commit", ledger)
    member = jane.git("rev-parse", f"{ledger}^2")
    lines = jane.git("cat-file", "blob", f"{ledger}:runs.jsonl")
    message = page.partition("\n\n")[2] + "\n"

    def forged(text: str) -> str:
        blob = jane.git("hash-object", "-w", "--stdin", input=text)
        tree = jane.git("mktree", input=f"100644 blob {blob}\truns.jsonl\n")
        return jane.git("commit-tree", tree, "-p", ledger, "-p", member, input=message)

    for text, words in (
        (lines.replace("jane", "eve!") + "\n", "says something else of"),
        ("", "it has 0 lines for 1 members"),
    ):
        assert words in served.refused(f"{forged(text)}:{ledger}")


def test_a_purge_replaces_a_ledger_as_far_as_the_server_allows(served: Served) -> None:
    ledger = shared(served)
    served.passes("refs/experiments/*:refs/experiments/*")
    served.bare.git("config", "gittrack.guards.ledgers", "grow")
    done = served.jane.gittrack("gc", "--purge", "deep", "--push", "--reason", "a key", check=False)
    assert "a ledger only grows here" in done.stderr
    # The note alone, under a name of its own, would make every clone forget the run.
    new = "refs/experiments/_ledger/mallory"
    assert "was deleted for good" in served.refused(f"{served.jane.git('rev-parse', ledger)}:{new}")
    served.bare.git("config", "--unset", "gittrack.guards.ledgers")
    served.jane.gittrack("gc", "--purge", "--push")
    assert served.bare.git("rev-parse", ledger) == served.jane.git("rev-parse", ledger)
    assert "never deleted" in served.refused("--delete", ledger)
    served.bare.git("config", "gittrack.guards.ledgers", "free")
    served.passes("--delete", ledger)


def test_a_run_is_created_and_gets_amendments(served: Served) -> None:
    jane = served.jane
    served.passes("refs/experiments/*:refs/experiments/*")
    first = jane.git("for-each-ref", "--format=%(refname)", "refs/experiments/default/").splitlines()[0]
    run = first.rpartition("/")[2]
    jane.gittrack("tag", run, "seen=jane")
    served.passes(f"{first}:{first}")
    assert "not on top of what is here" in served.refused("--force", f"{first}~1:{first}")
    assert "a run is never deleted" in served.refused("--delete", first)
    assert "its record says experiment 'default'" in served.refused(f"{first}:refs/experiments/other/{run}")


# --- the script


def test_without_gittrack_only_its_own_refs_are_refused(served: Served) -> None:
    install(served.bare, "/nowhere/python")
    event = served.made(served.draft(Action.APPROVE))[0]
    assert "gittrack is not found on this server" in served.refused(f"{event.object}:{SEQ}/4")
    served.jane.git("tag", "v1.0")
    served.jane.commit("More code")
    served.passes("main", "v1.0", "refs/experiments/default/*:refs/experiments/default/*")
    served.jane.gittrack("pack")
    assert "is refused, for gittrack is not found" in served.refused(
        "refs/experiments/_ledger/*:refs/experiments/_ledger/*"
    )


def test_a_hook_that_was_there_goes_on(served: Served) -> None:
    hook = served.bare.write("hooks/update.local", '#!/bin/sh\ncase $1 in */no) echo "not here" >&2; exit 1 ;; esac\n')
    hook.chmod(0o755)
    assert "not here" in served.refused("main:refs/heads/no")
    assert in_the_guide(served.refused("--delete", f"{SEQ}/3"), f"gittrack-update: {SEQ}/3: events of models are never")


def test_what_it_cannot_look_at_is_refused(served: Served) -> None:
    event = served.made(served.draft(Action.APPROVE))[0]
    served.settings("registry: {stages: 7}\n")
    said = served.refused(f"{event.object}:{SEQ}/4")
    assert "could not look, so this is refused: on the default branch" in said
    assert "Traceback" not in said
