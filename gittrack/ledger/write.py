"""Runs and amendments become commits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gittrack.domain.amendment import Amendment
from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import amendment_to_line, state_to_line
from gittrack.domain.run import RunRecord, RunState
from gittrack.errors import AlreadyRecorded, CorruptRecord, RefConflict, RepositoryError, UnknownRun
from gittrack.git.objects import REGULAR, ObjectBatch, Signature, parse_tree, publish, read_tree
from gittrack.git.refs import RefChange
from gittrack.git.repository import Repository
from gittrack.ledger import dvcyaml, layout
from gittrack.ledger.read import Chain, read_chain
from gittrack.values import replace

_TRIES = 20
_AMEND_TRIES = 50


def write_run(
    repository: Repository,
    record: RunRecord,
    files: Mapping[str, bytes],
    *,
    author: Signature,
    consumed: tuple[str, ...] = (),
    base: str | None = None,
    said: Mapping[str, str | bool | None] | None = None,
) -> str:
    """Record a finished run, drop its keep ref, and return its commit; `consumed` are the run commits that it used.

    `base` is what a resumed run continues: its head when it was resumed.

    A resumed run (attempt 2 and later) becomes an amendment of what is there. Repeating it after a crash finds what was done and
    succeeds. Raises OSError, GitFailed or CorruptRecord when the world does not allow it; then nothing is visible.
    """
    state = record.state()
    ref = layout.run_ref(record.experiment, record.id)
    held: str | None = None
    # By construction the keep ref holds the captured code; if not, the first try fails and we look.
    cleared = [RefChange(layout.kept_ref(record.id), None, record.code.captured)]
    started = replace(author, time=int(record.started))
    committer = replace(author, time=int(record.ended))
    for attempt in range(_TRIES):
        # A first attempt finds nothing there, unless this is the repetition of a crashed one: its first try tells.
        chain = None
        if attempt or state.attempt > 1:
            held = repository.resolve(ref, None)
            chain = read_chain(repository, record.id, [held, base])
        if chain is not None and chain.state.attempt >= state.attempt:
            raise _already_there(repository, chain, record, cleared)
        amendment: Amendment | None = None
        plain = state_to_line(state)
        if chain is not None:
            amendment = Amendment(
                run=record.id,
                clock=chain.clock + 1,
                commit="",
                author=author.identity,
                time=record.ended,
                changes=said or {},
                continuation=state,
            )
            plain = amendment_to_line(amendment)
        line = _dump(plain)
        if len(line) > layout.LINE_LIMIT:
            files = {**files, layout.WHOLE_LINE: _dump(state_to_line(state))}
            line = layout.fit_line(plain, _dump)
        batch = ObjectBatch(repository)
        tree = _run_tree(repository, batch, record.code.captured, files, dvcyaml.declared(record.artifacts))
        parents = [record.code.captured, *consumed]
        if chain is None or amendment is None:
            message = layout.run_message(state, line)
        else:
            message = layout.amendment_message(amendment, chain.state, line)
            parents = [chain.head, *parents, *_other_heads(chain, held, base)]
        commit = batch.commit(tree=tree, parents=parents, author=started, committer=committer, message=message)
        change = RefChange(ref, commit, held)
        try:
            publish(repository, batch, [change, *cleared], f"gittrack: run {record.name}")
            return commit
        except RefConflict:
            # Somebody amended the run, recorded it before us, or moved the keep ref: look again.
            held = repository.resolve(layout.kept_ref(record.id))
            cleared = [] if held is None else [RefChange(layout.kept_ref(record.id), None, held)]
    raise RefConflict(f"the ref {ref} changes faster than it can be written; try again")


def _already_there(
    repository: Repository, chain: Chain, record: RunRecord, cleared: list[RefChange]
) -> RepositoryError:
    """What to raise for a run that an earlier try, or another rank of its job, has written."""
    from gittrack.git.refs import change_refs

    if chain.state.id != record.id or chain.state.commit is None:
        return CorruptRecord(f"{chain.head} is another run than its ref {record.id} says; run 'gittrack fsck'")
    if cleared and repository.resolve(cleared[0].name) is not None:
        change_refs(repository, cleared)
    return AlreadyRecorded(
        f"run {record.id} is recorded already, as commit {chain.state.commit}",
        commit=chain.state.commit,
        ended=chain.state.ended or 0.0,
    )


def _run_tree(
    repository: Repository,
    batch: ObjectBatch,
    code: str,
    files: Mapping[str, bytes],
    artifacts: Mapping[str, Mapping[str, str]],
) -> str:
    """The code's tree with our folder in it; a `.gittrack/` that the user committed keeps what is not ours.

    Named `artifacts` are declared in the `dvc.yaml` at the top, unless that is something that DVC could not read either.
    """
    users_own, pipeline = f"{code}:{layout.FOLDER}/{layout.IGNORE}", f"{code}:{dvcyaml.NAME}"
    names = [f"{code}^{{tree}}", f"{code}:{layout.FOLDER}", *([users_own] if layout.IGNORE in files else [])]
    names += [pipeline] if artifacts else []
    kinds = dict.fromkeys(names, "tree") | {users_own: "blob", pipeline: "blob"}
    found = {name: data for name, kind, data in repository.read_objects(names) if kind == kinds[name]}
    if f"{code}^{{tree}}" not in found:
        raise CorruptRecord(
            f"the code of the run, commit {code}, is not in the repository any more; fetch it, then run 'gittrack recover'"
        )
    root = parse_tree(found[f"{code}^{{tree}}"], repository.object_format)
    ours = [
        entry
        for entry in parse_tree(found.get(f"{code}:{layout.FOLDER}", b""), repository.object_format)
        if entry[0].decode("utf-8", "replace") not in layout.OURS | files.keys()
    ]
    if found.get(users_own):
        files = {**files, layout.IGNORE: found[users_own].rstrip(b"\n") + b"\n" + files[layout.IGNORE]}
    folder = batch.folder({path: batch.blob(data) for path, data in files.items()}, base=ours)
    if artifacts:
        root = declaring(batch, root, found.get(pipeline), artifacts)
    return batch.graft(root, layout.FOLDER, folder)


def declaring(
    batch: ObjectBatch,
    root: list[tuple[bytes, int, str]],
    pipeline: bytes | None,
    artifacts: Mapping[str, Mapping[str, str]],
) -> list[tuple[bytes, int, str]]:
    """The entries of a root tree with artifacts in its `dvc.yaml`, whose text is `pipeline`; as they were where nothing goes in."""
    name = dvcyaml.NAME.encode("ascii")
    others = [one for one in root if one[0] != name]
    if pipeline is None and len(others) < len(root):
        # A folder or a submodule of that name.
        return root
    text = dvcyaml.with_artifacts(pipeline or b"", artifacts)
    return root if text is None else [*others, (name, REGULAR, batch.blob(text))]


def _other_heads(chain: Chain, *heads: str | None) -> list[str]:
    """Heads beside the newest, so that nothing that was said of a run gets out of reach."""
    return [one for one in dict.fromkeys(heads) if one is not None and one != chain.head]


def amend(
    repository: Repository,
    run: RunState,
    changes: Mapping[str, str | bool | None],
    *,
    author: Signature,
    now: float | None = None,
    added: Sequence[Artifact] = (),
    contents: Mapping[str, bytes] | None = None,
    check: Callable[[Chain], None] | None = None,
) -> str:
    """Add one amendment to a run and return its commit; changes of others in the meantime are kept.

    `added` are artifacts that come to the run's files: a pointer each, or what `contents` holds for their path. `check`
    sees the run as it is now, again after each race that was lost, and raises when the amendment must not be made.
    """
    moment = time.time() if now is None else now
    ref = layout.run_ref(run.experiment, run.id)
    for tries in range(1, _AMEND_TRIES + 1):
        held = repository.resolve(ref, None)
        chain = read_chain(repository, run.id, [held, run.head])
        if chain is None:
            raise UnknownRun(f"{ref} is gone; see 'gittrack ls' for what is there")
        if check is not None:
            check(chain)
        amendment = Amendment(
            run=chain.state.id,
            clock=chain.clock + 1,
            commit="",
            author=author.identity,
            time=moment,
            changes=changes,
        )
        line = _dump(amendment_to_line(amendment))
        batch = ObjectBatch(repository)
        signed = replace(author, time=int(moment))
        commit = batch.commit(
            tree=_tree_with(repository, batch, chain, added, contents or {})
            if added
            else _tree(repository, chain.head),
            parents=[chain.head, *_other_heads(chain, held, run.head)],
            author=signed,
            committer=signed,
            message=layout.amendment_message(amendment, chain.state, line),
        )
        try:
            publish(repository, batch, [RefChange(ref, commit, held)], "gittrack: amend")
            return commit
        except RefConflict:
            # Not at once: several that amend one run would else trip each other up again and again.
            time.sleep(random.uniform(0, 0.01) * tries)
    raise RefConflict(f"the ref {ref} changes faster than it can be amended; try again")


def _tree(repository: Repository, commit: str) -> str:
    return layout.commit_links(repository.read_object(commit, "commit"))[0]


def _tree_with(
    repository: Repository,
    batch: ObjectBatch,
    chain: Chain,
    added: Sequence[Artifact],
    contents: Mapping[str, bytes],
) -> str:
    """The run's tree with more artifacts in it."""
    from gittrack.ledger.files import pointer_files

    files = {f"{layout.ARTIFACTS}/{path}": data for path, data in contents.items()} | pointer_files(added)
    ignored = f"{chain.head}:{layout.FOLDER}/{layout.IGNORE}"
    for _, kind, data in repository.read_objects([ignored] if layout.IGNORE in files else []):
        if kind == "blob":
            lines = files[layout.IGNORE].splitlines(keepends=True)
            files[layout.IGNORE] = data + b"".join(line for line in lines if line not in data.splitlines(keepends=True))
    tree = read_tree(repository, chain.head)
    return batch.put(repository, tree, {f"{layout.FOLDER}/{path}": batch.blob(data) for path, data in files.items()})


def _dump(plain: dict[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(plain)
