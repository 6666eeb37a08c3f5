"""Real repositories, quickly made: many files, many runs."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gittrack.domain.codec import state_to_line
from gittrack.domain.environment import Environment
from gittrack.domain.metric import History, summarize
from gittrack.domain.names import name_from_id
from gittrack.domain.run import RunRecord
from gittrack.git.objects import ObjectBatch, Signature, read_tree
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.files import run_files
from gittrack.ledger.read import read_environment, read_record

SYSTEM = (
    "system/cpu_percent",
    "system/memory_percent",
    "system/memory_rss_mb",
    "system/disk_read_mb",
    "system/disk_write_mb",
    "system/net_sent_mb",
    "system/net_received_mb",
)


def git(repo: Path, *arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=repo, input=stdin, capture_output=True, check=True)
    return done.stdout.decode()


def repository(folder: Path, files: int = 1) -> Path:
    """A repository with one commit of so many small files, settled as after a `git status` an hour ago."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, "fast-import", "--quiet", stdin=b"".join(_import_stream(files)))
    git(folder, "reset", "--hard", "--quiet")
    # Files as old as the index make git read them all again each time: nobody's repository stays like that.
    an_hour_ago = time.time() - 3600
    for name in git(folder, "ls-files").splitlines():
        os.utime(folder / name, (an_hour_ago, an_hour_ago))
    git(folder, "update-index", "--refresh", "-q")
    git(folder, "status")
    return folder


def _import_stream(files: int) -> Iterator[bytes]:
    yield b"commit refs/heads/main\ncommitter Bench Mark <bench@example.org> 1700000000 +0000\ndata 11\nMany files\n"
    for number in range(files):
        # Some hundred files a folder, as in a project of that size.
        name = "train.py" if number == 0 else f"package_{number // 100}/module_{number % 100}.py"
        content = f"VALUE = {number}\n" * 20
        yield f"M 100644 inline {name}\ndata {len(content)}\n{content}\n".encode()


# --- runs


def write_runs(
    repo: Path,
    count: int,
    *,
    points: int = 1,
    system: int = 0,
    digits: int | None = None,
    loose: bool = False,
    seed: int = 0,
) -> None:
    """Runs with 10 params and 10 metrics of so many points each, as the recorder would have written them.

    One real run is the pattern, so that all that is not varied is what a real run holds. `system` adds so many samples
    of utilisation, `digits` rounds the values. `loose` writes loose objects, as single runs are; else one pack holds
    them all. Refs are loose either way. Another `seed` makes other runs.
    """
    there = Repository.discover(repo)
    record, environment = _pattern(there)
    code = record.code.captured
    root = read_tree(there, code)
    dice = random.Random(seed)
    batch, changes = ObjectBatch(there), []
    for number in range(count):
        one, histories = _vary(record, number, points, system, digits, dice)
        files = run_files(one, environment, histories)
        folder = batch.folder({path: batch.blob(data) for path, data in files.items()})
        state = one.state()
        line = layout.fit_line(state_to_line(state), _dump)
        commit = batch.commit(
            tree=batch.graft(root, layout.FOLDER, folder),
            parents=[code],
            author=Signature(one.author, int(one.started)),
            committer=Signature(one.author, int(one.ended)),
            message=layout.run_message(state, line),
        )
        changes.append(RefChange(layout.run_ref(one.experiment, one.id), commit, None))
        if loose:
            # One by one, or else they would go into a pack.
            batch.write()
            batch = ObjectBatch(there)
    batch.write()
    change_refs(there, changes)


def _dump(plain: object) -> bytes:
    import orjson

    return orjson.dumps(plain)


def _pattern(there: Repository) -> tuple[RunRecord, Environment]:
    from gittrack.project import Project

    assert there.root is not None
    run = Project.open(there.root).start_run("pattern", console=False)
    run.set_tag("kind", "pattern")
    commit = run.finish()
    assert commit is not None, "the pattern run could not be recorded"
    found = replace(read_record(there, commit), tags={}, warnings=()), read_environment(there, commit)
    git(there.root, "update-ref", "-d", layout.run_ref(run.experiment, run.id))
    return found


def _vary(
    pattern: RunRecord, number: int, points: int, system: int, digits: int | None, dice: random.Random
) -> tuple[RunRecord, Mapping[str, History]]:
    """Another run after the pattern: own id, name, times, params and metrics."""
    run_id = f"{dice.getrandbits(128):032x}"
    started = round(pattern.started + number + dice.random(), 6)
    # Ten calls in a row, some microseconds apart, as at the end of an epoch.
    curves = {key: _curve(key, started + place * 3e-6, points, 1.0, digits, dice) for place, key in enumerate(METRICS)}
    curves |= {key: _curve(key, started, system, 15.0, digits, dice) for key in SYSTEM if system}
    ended = round(started + max(points, 15.0 * system) + dice.random(), 6)
    record = replace(
        pattern,
        id=run_id,
        name=name_from_id(run_id),
        started=started,
        ended=ended,
        params=params(dice),
        summary={key: summarize(curve) for key, curve in sorted(curves.items())},
        attempts=(replace(pattern.attempts[0], started=started, ended=ended),),
    )
    return record, curves


METRICS = (
    *("train/loss", "train/acc", "val/loss", "val/acc", "val/f1", "val/precision", "val/recall", "val/auc"),
    *("test/loss", "test/acc"),
)


def params(dice: random.Random) -> dict[str, float | int | str | bool]:
    """Ten, of the kinds that a search varies."""
    return {
        "lr": 10 ** dice.uniform(-5, -1),
        "weight_decay": 10 ** dice.uniform(-6, -2),
        "dropout": dice.random(),
        "batch_size": dice.choice([16, 32, 64, 128]),
        "seed": dice.randrange(1000),
        "model.name": dice.choice(["forest", "boosting", "perceptron"]),
        "model.depth": dice.randrange(2, 20),
        "model.width": dice.choice([64, 128, 256, 512]),
        "optimizer": dice.choice(["sgd", "adam"]),
        "augment": dice.random() < 0.5,
    }


def _curve(key: str, first: float, points: int, every: float, digits: int | None, dice: random.Random) -> History:
    """Random values, with all their digits unless rounded: what compresses worst."""
    curve = History(key)
    for step in range(points):
        curve.steps.append(step)
        curve.values.append(dice.random() if digits is None else round(dice.random(), digits))
        curve.times.append(round(first + every * step, 6))
    return curve
