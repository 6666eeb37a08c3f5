"""What a repository that is pushed to lets become of its refs of models, ledgers and runs; `hooks/update` calls it for each.

git calls this hook for one ref after the other. With `--atomic` none has moved before the last was looked at: what else comes
in the same push is known by its objects, which are here by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gittrack.errors import CorruptRecord, FormatTooNew, GitFailed, RepositoryError, UsageError
from gittrack.git.repository import id_or_none
from gittrack.hooks.call import PASSED, Call, Verdict
from gittrack.ledger import layout
from gittrack.registry.tagname import SEQUENCE, TAGS, looks_like_tag, parse_sequence, parse_tag, sequence_ref

if TYPE_CHECKING:
    from gittrack.git.repository import Repository
    from gittrack.models.settings import Authority
    from gittrack.registry.event import Event

# Which push it is, as `hooks/update` found out; empty or absent where it could not.
PUSH = "GITTRACK_PUSH"
# What the default branch was before the push that changes its settings; and what was let in by the push that is at work.
_BEFORE, _ADMITTED = "policy-before", "admitted"


def check(call: Call) -> Verdict:
    """Of git's `<ref> <old object> <new object>`; raises UsageError for other words."""
    if len(call.words) != 3:
        raise UsageError("git calls the update hook with a ref and two objects; copy hooks/update as it is")
    ref, old, new = call.words
    why = _refusal(call, ref, id_or_none(old), id_or_none(new))
    return Verdict(refusals=(f"{ref}: {why}",)) if why else PASSED


def _refusal(call: Call, ref: str, old: str | None, new: str | None) -> str:
    """Why the ref may not become what it is to be; empty where it may, or is nobody's business here."""
    if ref.startswith(SEQUENCE) or (ref.startswith(TAGS) and looks_like_tag(ref[len(TAGS) :])):
        return _registry(call, ref, old, new)
    if ref.startswith(layout.LEDGERS):
        return _ledger(call, ref, old, new)
    if layout.parse_run_ref(ref) is not None:
        return _run(call, ref, old, new)
    return ""


# --- models


def _registry(call: Call, ref: str, old: str | None, new: str | None) -> str:
    from gittrack.registry.sequence import event_of, pending, read_sequence

    repository = call.repository
    numbered, tag = parse_sequence(ref), parse_tag(ref[len(TAGS) :]) if ref.startswith(TAGS) else None
    if numbered is None and tag is None:
        return _no_grammar(repository, ref)
    model = numbered[0] if numbered is not None else tag.model if tag is not None else ""
    if old is not None:
        if new is not None:
            return (
                "events of models are never moved; 'git fetch origin "
                f"{ref}' shows what it is here, and a change is a new event: 'gittrack promote', 'gittrack model rollback'"
            )
        return _deleted(repository, ref, model, old)
    if new is None:
        return ""
    try:
        event = event_of(repository, ref, new)
        known = read_sequence(repository, model)
        waiting = pending(repository, known.newest, event)
    except (CorruptRecord, FormatTooNew) as error:
        return f"{error}; {_next_step(str(error))}"
    if not waiting:
        return ""
    follower = known.stray.get(event.number + 1)
    if follower is not None and event_of(repository, sequence_ref(model, event.number + 1), follower).previous != new:
        return (
            f"event {event.number + 1} of {model} is here and follows another one; push that one, which has its number"
        )
    from gittrack.models.admission import Admission

    found = Admission.under(repository, _authority(call)).refusal(
        known.about({str(one.version) for one in waiting}), waiting, known.whole
    )
    if found is None:
        _note_admitted(call, waiting)
        return ""
    which, why = found
    said = "" if which is event else f"event {which.number} before it: "
    return f"{said}{why}; nothing of it is in force here: {_SET_ASIDE}"


_SET_ASIDE = "mend that, and make the change anew with 'gittrack promote' or 'gittrack model'"


def _next_step(why: str) -> str:
    if "missing before it" in why:
        return "'gittrack push' sends all events in their order"
    if "is another one here" in why:
        return "somebody else was faster: 'gittrack fetch', and say yours again"
    if "upgrade" in why or "who keeps" in why:
        return "tell who keeps this server"
    return "let 'gittrack model register' or 'gittrack promote' make it, and 'gittrack push' send it"


def _no_grammar(repository: Repository, ref: str) -> str:
    """A name that is nearly one of the registry's; of a model that nobody has here it may be anything."""
    if ref.startswith(TAGS):
        model = ref[len(TAGS) :].partition("@")[0].partition("#")[0]
        if not repository.list_refs(sequence_ref(model, 0).removesuffix("0")):
            return ""
        return f"{model} is a model, and no event of it has such a tag; let 'gittrack model' make it, or name yours otherwise"
    return "no event of a model has such a number; let 'gittrack push' send them"


def _deleted(repository: Repository, ref: str, model: str, old: str) -> str:
    """Nothing that counts is ever taken away; a tag that never got its number, as `git push --tags` leaves it, may be."""
    if ref.startswith(TAGS):
        from gittrack.registry.sequence import event_of

        numbers = repository.list_refs(sequence_ref(model, 0).removesuffix("0"))
        try:
            number = sequence_ref(model, event_of(repository, ref, old).number)
        except (CorruptRecord, FormatTooNew):
            return ""
        if numbers and numbers.get(number) != old:
            return ""
    return (
        "events of models are never deleted; 'gittrack model deprecate' says that nobody should use a version any more"
    )


# --- whose settings count


def _authority(call: Call) -> Authority:
    """The settings of the default branch as it was before this push; raises RepositoryError where nobody can tell which branch it is."""
    from gittrack.git.remote import find_default_branch
    from gittrack.models.settings import Authority, authority_at
    from gittrack.settings import settings_of

    repository = call.repository
    commit = repository.resolve("HEAD")
    branch = "HEAD"
    if commit is None:
        found = find_default_branch(repository)
        if found is None and repository.list_refs("refs/heads/"):
            raise RepositoryError(
                "HEAD of this repository names no branch that is here, so nobody knows whose settings count; who keeps it sets it with "
                "'git symbolic-ref HEAD refs/heads/NAME'"
            )
        branch, commit = found or ("", None)
    changed = _changed_in_this_push(call, commit)
    commit = changed[0] if changed else commit
    if commit is None:
        return Authority(settings_of(b""), "", "")
    return authority_at(repository, commit, branch.removeprefix("refs/heads/").replace("HEAD", "the default branch"))


def _changed_in_this_push(call: Call, tip: str | None) -> tuple[str | None] | None:
    """What the default branch was before this very push moved it, as `hooks/update` noted it; None where it did not."""
    try:
        push, new, old = (call.repository.home / _BEFORE).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return (id_or_none(old),) if tip == new and push == call.environ.get(PUSH) else None


def _note_admitted(call: Call, events: Sequence[Event]) -> None:
    """For `hooks/update`, which then lets the other refs of these events pass by itself."""
    from gittrack.registry.record import refs_of

    push = call.environ.get(PUSH)
    if not push:
        return
    lines = "".join(f"{one} {ref}\n" for ref, one in refs_of(events).items())
    try:
        call.repository.note(_ADMITTED, f"{push}\n{lines}")
    except OSError:
        # Then each ref is looked at by itself.
        return


# --- ledgers and runs


def _mode(call: Call) -> str:
    """As git's own settings here say, else the default branch; who pushes has no say in it by variables."""
    from gittrack.settings import GUARDED_LEDGERS

    own = str(call.repository.setting("gittrack.guards.ledgers") or "").lower()
    return own if own in GUARDED_LEDGERS else _authority(call).settings.guards.ledgers


def _ledger(call: Call, ref: str, old: str | None, new: str | None) -> str:
    from gittrack.ledger.chain import page_ids, purges_in, purges_of
    from gittrack.ledger.fsck import Problem, page_problems
    from gittrack.ledger.writer import is_writer

    repository = call.repository
    if new is None:
        if _mode(call) == "free":
            return ""
        return "a ledger is never deleted; for 'gittrack gc --merge-ledgers' who keeps the server sets guards.ledgers to free for a moment"
    if not is_writer(ref[len(layout.LEDGERS) :]):
        return "no writer can be called that; see gittrack.writer in git's settings, and push again"
    try:
        pages, grows = page_ids(repository, new, () if old is None else {old})
    except GitFailed:
        return f"{new[:12]} is no ledger; 'gittrack push' sends one"
    if old is not None and not grows:
        if _mode(call) == "grow":
            return (
                "a ledger only grows here; 'gittrack fetch' brings what is here, and 'gittrack push' goes on from there"
            )
        before = set(page_ids(repository, old)[0])
        pages = [one for one in pages if one not in before]
        why = _not_only_purged(repository, old, new)
        if why:
            return f"{why}; 'gittrack fetch' brings what is here, and 'gittrack push' goes on from there"
    elif purges := purges_in(repository, pages):
        # In whosever ledger it stands: every clone that fetches it forgets the run.
        fresh = [run for run in purges if old is None or run not in purges_of(repository, old)]
        if fresh and _mode(call) == "grow":
            return f"it says that run {fresh[0][:8]} was deleted for good, and a ledger only grows here; 'gittrack rm' hides a run"
    for found in page_problems(repository, ref, pages):
        if isinstance(found, Problem):
            return f"{found.reason}; 'gittrack fsck' in the clone that pushes tells more"
    return ""


def _not_only_purged(repository: Repository, old: str, new: str) -> str:
    """A purge writes a ledger anew: only purged runs may be gone then, and each has its note (docs/formats/ledger.md)."""
    from gittrack.ledger.chain import all_members, purges_of
    from gittrack.ledger.read import Damage, read_members

    purged = purges_of(repository, new)
    lost = [run for run in purges_of(repository, old) if run not in purged]
    if lost:
        return f"the note that run {lost[0][:8]} was deleted for good would be gone"
    kept = all_members(repository, new)
    missing = [one for one in all_members(repository, old) if one not in kept]
    for line in read_members(repository, missing):
        if isinstance(line, Damage) or line.run not in purged:
            named = "" if isinstance(line, Damage) else f" (run {line.run[:8]})"
            return f"{len(missing):,} {'commit' if len(missing) == 1 else 'commits'} of the ledger would be gone{named}"
    return "" if missing else "it is not on top of what is here"


def _run(call: Call, ref: str, old: str | None, new: str | None) -> str:
    from gittrack.ledger.read import Damage, read_lines

    repository = call.repository
    named = layout.parse_run_ref(ref)
    assert named is not None
    experiment, run = named
    if new is None:
        from gittrack.ledger.purged import purged_runs

        if _mode(call) != "grow" and run in purged_runs(repository):
            return ""
        return "a run is never deleted but by 'gittrack gc --purge --push'; 'gittrack rm' hides it"
    if old is not None and repository.run("merge-base", "--is-ancestor", old, new, check=False).returncode != 0:
        return "a run only gets amendments, and this is not on top of what is here; 'gittrack push' shares it without a conflict"
    found = next(read_lines(repository, {run: (new,)}))
    if isinstance(found, Damage):
        return f"{found.reason}; 'gittrack fsck' in the clone that pushes tells more"
    try:
        state = found.state
    except (CorruptRecord, FormatTooNew) as error:
        return f"{error}; 'gittrack fsck' in the clone that pushes tells more"
    if state.experiment != experiment:
        return f"its record says experiment {state.experiment!r}; push it to {layout.run_ref(state.experiment, run)}"
    return ""
