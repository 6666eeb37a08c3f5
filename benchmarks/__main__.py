"""`python -m benchmarks`: the rows of every group, or of those that are named."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks.harness import ROOT, Bench, Sizes, pin, seal
from benchmarks.rows import HEADER, Note, Row, markdown_line, text_line

GROUPS = {
    "journal": "logging points, and what SIGKILL takes",
    "lifecycle": "starting and finishing a run",
    "startup": "the program and the import",
    "ls": "listing runs in a new process",
    "size": "one run in git",
    "wrapper": "gittrack run",
    "data": "large files and many files into the store",
    "remotes": "objects to a server on loopback and back",
    "registry": "models: changing them, and looking at many",
    "server": "the update hook of a repository that is pushed to",
    "compare": "diff with repeats, and the report of a change",
    "guards": "what a commit and a push ask",
    "peers": "other trackers, same workloads",
}
_MODULES = {"ls": "listing", "compare": "comparing"}
TOY = Sizes(
    calls=200,
    kills=1,
    files=(5,),
    points=500,
    runs=(20,),
    stored=20,
    repeats=1,
    data_bytes=100_000,
    data_files=10,
    remote_objects=3,
    remote_bytes=2_000,
)


def main() -> None:
    options = _parser().parse_args()
    unknown = [name for name in options.only if name not in GROUPS]
    if unknown:
        sys.exit(f"there is no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    base = options.folder or ROOT / "build" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base)).resolve()
    try:
        if options.install_peers:
            # In the environment as it is: pip may need its settings and a proxy.
            from benchmarks.peers import install

            sys.exit(install())
        seal(folder)
        bench = Bench(folder, _sizes(options))
        names = options.only or [name for name in GROUPS if name != "peers"]
        names += ["peers"] if options.peers and "peers" not in names else []
        failed = _report(bench, names, "json" if options.json else "md" if options.md else "text")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed)


def _parser() -> argparse.ArgumentParser:
    groups = "\n".join(f"  {name:10} {what}" for name, what in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What gittrack costs, beside limits measured in the same run.",
        epilog=f"groups:\n{groups}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=_names, default=[], metavar="GROUP,...", help="these groups only")
    parser.add_argument("--runs", type=_numbers, metavar="N,...", help="runs to list (1000,10000)")
    parser.add_argument("--files", type=_numbers, metavar="N,...", help="files in the worktree (50,20000)")
    parser.add_argument("--calls", type=int, metavar="N", help="calls of log_metric (100000)")
    parser.add_argument("--points", type=int, metavar="N", help="points of the long run (1000000)")
    parser.add_argument("--kills", type=int, metavar="N", help="processes to kill (10)")
    parser.add_argument("--repeats", type=int, metavar="N", help="of each measurement (15)")
    parser.add_argument("--toy", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--peers", action="store_true", help="other trackers too, where they are installed")
    parser.add_argument("--install-peers", action="store_true", help="install them into build/peers-venv, and stop")
    parser.add_argument("--folder", type=Path, help="work here (build/bench); the file system counts")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line")
    form.add_argument("--md", action="store_true", help="a Markdown table")
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _sizes(options: argparse.Namespace) -> Sizes:
    given = {name: getattr(options, name) for name in ("runs", "files", "calls", "points", "kills", "repeats")}
    return replace(TOY if options.toy else Sizes(), **{name: value for name, value in given.items() if value})


def _report(bench: Bench, names: list[str], form: str) -> bool:
    """Print the rows; whether any could not be measured."""
    began = time.perf_counter()
    core = pin()
    rows: list[Row] = []
    failed = False
    if form == "md":
        print(markdown_line(HEADER), markdown_line(("---",) * len(HEADER)), sep="\n", flush=True)
    elif form == "text":
        print(_machine(core), text_line(HEADER), sep="\n\n", flush=True)
    for name in names:
        if form == "text":
            print(f"\n{name}: {GROUPS[name]}", flush=True)
        for row in _rows(bench, name):
            if isinstance(row, Row):
                rows.append(row)
            else:
                failed = failed or row.failed
            _show(row, form)
    if form == "text":
        over = [row.what for row in rows if row.verdict == "over"]
        judged = sum(1 for row in rows if row.verdict)
        print(f"\n{judged - len(over)} of {judged} bars held, {time.perf_counter() - began:.0f} s")
        for what in over:
            print(f"over: {what}")
    return failed


def _rows(bench: Bench, name: str) -> Iterator[Row | Note]:
    module = import_module(f"benchmarks.{_MODULES.get(name, name)}")
    try:
        yield from module.rows(bench)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        # The other groups are none the worse.
        yield Note(f"not measured: {error}", failed=True)


def _show(row: Row | Note, form: str) -> None:
    if form == "json":
        print(json.dumps(row.to_dict()), flush=True)
    elif isinstance(row, Note):
        print(f"  {row.text}" if form == "text" else markdown_line((row.text, "", "", "", "", "")), flush=True)
    else:
        print(text_line(row.cells()) if form == "text" else markdown_line(row.cells()), flush=True)


def _machine(core: int | None) -> str:
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    where = "not pinned" if core is None else f"pinned to core {core}"
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {git}, {where}"


if __name__ == "__main__":
    main()
