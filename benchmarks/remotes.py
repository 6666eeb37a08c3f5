"""Many objects to a server that speaks S3 and back, beside `dvc push` and `dvc pull` of the same data in the same run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.harness import ROOT, Bench, interleaved, pin, process, unpin
from benchmarks.rows import Limit, Note, Row

_KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}
_OURS = """
import sys
from pathlib import Path
from gittrack.pointers.remote import open_remote
from gittrack.pointers.store import Store
from gittrack.pointers.transfer import pull, push
root, verb, *oids = Path.cwd(), sys.argv[1], *Path(sys.argv[2]).read_text().split()
store, remote = Store.of(root / ".git", root), open_remote(root)
if verb == "pull":
    lists = [oid for oid in oids if oid.endswith(".dir")]
    failed = dict(pull(store, remote, lists).failed)
    done = pull(store, remote, oids)
else:
    failed, done = {}, push(store, remote, oids)
assert not failed and not done.failed, done.failed
assert done.done, "nothing was moved"
"""


def rows(bench: Bench) -> Iterator[Row | Note]:
    try:
        import dvc_s3  # noqa: F401
        import moto  # noqa: F401
    except ImportError as error:
        yield Note(f"not measured: {error}")
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.pointers.servers import make_bucket, s3_server

    os.environ.update(_KEYS, PYTHONPATH=str(ROOT), no_proxy="127.0.0.1", DVC_NO_ANALYTICS="1")
    # Client and server are two machines in life: each has a core here.
    unpin()
    try:
        with s3_server() as server:
            make_bucket(server.port, "bench")
            yield from _measured(bench, server.port)
    finally:
        pin()


def _measured(bench: Bench, port: int) -> Iterator[Row]:
    count, size = bench.sizes.remote_objects, bench.sizes.remote_bytes
    root = bench.new_folder("remotes")
    for words in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(words, cwd=root, check=True)
    (root / "data").mkdir()
    for number in range(count):
        (root / "data" / f"{number}.bin").write_bytes(os.urandom(size))
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "data"], cwd=root, check=True)
    from gittrack.pointers.store import Store

    store = Store.of(root / ".git", root)
    store.add(root / "data")
    oid = next(path.parent.name + path.name for path in (root / ".dvc/cache").rglob("*.dir"))
    names = root / ".git" / "names"
    names.write_text("\n".join(store.objects(oid)))
    turn = iter(range(1_000_000))

    def configure() -> None:
        """An empty place on the remote each time."""
        text = f"url = s3://bench/{next(turn)}\n    endpointurl = http://127.0.0.1:{port}\n"
        (root / ".dvc/config").write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    {text}")

    dvc = [sys.executable, "-m", "dvc"]
    ours = [sys.executable, "-c", _OURS]
    commands = {
        ("push", "dvc"): [*dvc, "push", "--quiet"],
        ("push", "ours"): [*ours, "push", str(names)],
        ("pull", "dvc"): [*dvc, "fetch", "--quiet"],
        ("pull", "ours"): [*ours, "pull", str(names)],
    }

    def push(who: str) -> float:
        configure()
        return process(commands["push", who], root)()

    def pull(who: str) -> float:
        # Each reads what it wrote itself, into an empty cache and an empty farm.
        configure()
        process(commands["push", who], root)()
        shutil.rmtree(root / ".dvc/cache")
        shutil.rmtree(root / ".git/gittrack/odb")
        seconds = process(commands["pull", who], root)()
        Store.of(root / ".git", root).add(root / "data")
        return seconds

    repeats = min(3, bench.sizes.repeats)
    for verb, measure in (("push", push), ("pull", pull)):
        found = interleaved({who: partial(measure, who) for who in ("ours", "dvc")}, repeats)
        yield Row(
            f"{verb} of {count:,} objects of {size:,} bytes, S3 on loopback",
            found["ours"].median,
            "s",
            bar=0.7,
            times_limit=True,
            limit=Limit(found["dvc"].median, f"dvc {'push' if verb == 'push' else 'fetch'}"),
        )
