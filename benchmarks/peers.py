"""Other trackers, the same workloads: each in a process of its own, with a sealed home, offline, and a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.fixtures import git, repository
from benchmarks.harness import ROOT, Bench, in_new_process, unpin
from benchmarks.rows import Limit, Note, Row

ENVIRONMENT = ROOT / "build" / "peers-venv"
PINS = Path(__file__).with_name("peers.txt")
_PYTHON = ENVIRONMENT / "bin" / "python"
_TIMEOUT_S = 300
# Of our own, more runs are imported to be listed: recording them takes a minute a thousand, and is measured elsewhere.
_RECORDED = 1_000
_NAMES = {
    "mlflow": "MLflow (SQLite)",
    "wandb": "W&B (offline)",
    "tensorboardX": "TensorBoard (tensorboardX)",
    "trackio": "trackio",
    "dvclive": "DVCLive (with experiments)",
}
_OFFLINE = {
    "http_proxy": "http://127.0.0.1:9",  # the discard port: who calls out fails at once
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "127.0.0.1,localhost",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DVC_NO_ANALYTICS": "1",
}


class Failed(Exception):
    """A workload that a tracker could not do; the sentence says why."""


def install() -> int:
    """Make the environment from `peers.txt`; one that cannot be installed is named and left out."""
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    pip = [str(_PYTHON), "-m", "pip", "install", "--quiet"]
    if subprocess.run([*pip, "-r", str(PINS)], check=False).returncode == 0:
        return 0
    print("together they cannot be installed; one by one, then")
    missing = 0
    for pin in PINS.read_text().splitlines():
        if pin and not pin.startswith("#") and subprocess.run([*pip, pin], check=False).returncode != 0:
            print(f"{pin} could not be installed and is left out")
            missing += 1
    return missing


def rows(bench: Bench) -> Iterator[Row | Note]:
    if not _PYTHON.exists():
        yield Note("no peers are installed; python -m benchmarks --install-peers does it (a minute, a gigabyte)")
        return
    # Some of them work in threads and services beside the script: one core would not do them justice.
    unpin()
    sizes = bench.sizes
    runs = max(count for count in sizes.runs if count <= 1_000) if min(sizes.runs) <= 1_000 else 1_000
    plans = (
        ("one point, p50", "points", min(sizes.calls, 2_000), 1e6, "us"),
        ("20 values, p50 a call", "values", min(sizes.calls, 500), 1e6, "us"),
        ("start + finish", "cycle", sizes.repeats, 1e3, "ms"),
        ("import", "imported", min(5, sizes.repeats), 1e3, "ms"),
        (f"list {runs:,} runs in a new process", "listed", runs, 1e3, "ms"),
        (f"list {runs:,} runs for the first time", "listed first", runs, 1e3, "ms"),
    )
    lists: dict[str, tuple[float, float]] = {}
    for what, workload, count, scale, unit in plans:
        ours = _measure(bench, "gittrack", workload, count, lists) * scale
        yield Row(f"{what}: gittrack", ours, unit)
        for tracker, name in _NAMES.items():
            try:
                theirs = _measure(bench, tracker, workload, count, lists) * scale
                yield Row(f"{what}: {name}", theirs, unit, limit=Limit(ours, "gittrack"))
            except Failed as problem:
                yield Note(f"{what}: {name}: left out, {problem}")


def listings(bench: Bench, count: int) -> Iterator[Row | Note]:
    """Many runs in a table, by those that have one offline: a new process each."""
    if not _PYTHON.exists():
        yield Note("no peers are installed; python -m benchmarks --install-peers does it (a minute, a gigabyte)")
        return
    ours: tuple[float, float] | None = None
    for tracker in ("gittrack", *_NAMES):
        name = _NAMES.get(tracker, tracker)
        try:
            first, later = _list_times(_place(bench, tracker), tracker, count)
        except Failed as problem:
            yield Note(f"list {count:,} runs: {name}: left out, {problem}")
            continue
        ours = ours or (first, later)
        yield Row(f"list {count:,} runs in a new process: {name}", later, "s", limit=Limit(ours[1], "gittrack"))
        yield Row(f"list {count:,} runs for the first time: {name}", first, "s", limit=Limit(ours[0], "gittrack"))


def _measure(bench: Bench, tracker: str, workload: str, count: int, lists: dict[str, tuple[float, float]]) -> float:
    """Seconds; what both kinds of listing took is measured once and kept in `lists`."""
    if workload == "listed":
        lists[tracker] = _list_times(_place(bench, tracker), tracker, count)
        return lists[tracker][1]
    if workload == "listed first":
        if tracker not in lists:
            raise Failed("as above")
        return lists[tracker][0]
    folder = _place(bench, tracker)
    if workload == "imported":
        return _later_median([_run(folder, tracker, workload, 1) for _ in range(count + 1)])
    return _run(folder, tracker, workload, count)


def _list_times(folder: Path, tracker: str, count: int) -> tuple[float, float]:
    """Seconds of whole processes that list so many runs: the first, and the median of later ones."""
    if tracker == "dvclive":
        _run(folder, tracker, "seeded", 1)
        _multiply(folder, count)
    elif tracker == "gittrack" and count > _RECORDED:
        in_new_process(import_runs, count, cwd=folder)
    elif tracker not in ("wandb", "tensorboardX"):
        _run(folder, tracker, "seeded", count, timeout=max(_TIMEOUT_S, count / 5))
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        found = _run(folder, tracker, "listed", count)
        taken.append(time.perf_counter() - began)
        if found != count:
            raise Failed(f"it listed {found:.0f} of {count} runs")
    return taken[0], _later_median(taken)


def _later_median(seconds: list[float]) -> float:
    """Of all but the first, which fills caches."""
    return median(seconds[1:])


def _place(bench: Bench, tracker: str) -> Path:
    """A new folder for one tracker: a repository of 50 files, as all of them like it."""
    folder = repository(bench.new_folder(tracker), files=50)
    ignored = "mlflow.db\nmlruns/\nwandb/\nruns/\ntrackio/\nhome/\nanswer.json\n"
    (folder / ".gitignore").write_text(ignored)
    (folder / "home").mkdir()
    git(folder, "add", ".gitignore")
    if tracker == "dvclive":
        subprocess.run([_PYTHON.with_name("dvc"), "init", "--quiet"], cwd=folder, env=_environment(folder), check=True)
        git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "Ignore what is made")
    return folder


def _environment(folder: Path) -> dict[str, str]:
    home = str(folder / "home")
    return {
        **os.environ,
        **_OFFLINE,
        "HOME": home,
        "XDG_CACHE_HOME": f"{home}/.cache",
        "XDG_CONFIG_HOME": f"{home}/.config",
        "TRACKIO_DIR": str(folder / "trackio"),
        "WANDB_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(_PYTHON.parent), os.environ["PATH"]]),
    }


def import_runs(count: int) -> None:
    from benchmarks import scale

    scale.import_runs(count)


def _run(folder: Path, tracker: str, workload: str, count: int, timeout: float = _TIMEOUT_S) -> float:
    python = sys.executable if tracker == "gittrack" else str(_PYTHON)
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [python, "-m", "benchmarks.trackers", workload, tracker, str(count), str(answer)],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"it was not done after {timeout:.0f} s") from None
    if done.returncode != 0 or not answer.exists():
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:] or [f"exit code {done.returncode}"]
        raise Failed(last[0].removeprefix("NotImplementedError: ")[:200])
    return float(json.loads(answer.read_text()))


def _multiply(folder: Path, count: int) -> None:
    """Of one experiment of DVC's, so many: the same tree with other metrics, each on a ref as DVC names them.

    Recording them one by one would take minutes, and it is only the listing that is measured.
    """
    ref = git(folder, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/*").split()[0]
    home, _, _ = ref.rpartition("/")
    base = git(folder, "rev-parse", f"{ref}^").strip()
    metrics = json.loads(git(folder, "show", f"{ref}:dvclive/metrics.json"))
    kept = [line.split() for line in git(folder, "diff-tree", "-r", base, ref).splitlines()]
    stream = []
    for number in range(1, count):
        content = json.dumps({key: value + number for key, value in metrics.items()})
        stream.append(
            f"commit {home}/copy-{number}\ncommitter Bench Mark <bench@example.org> {1_700_000_000 + number} +0000\n"
            f"data 4\ncopy\nfrom {base}\n"
        )
        stream += [f"M {mode} {blob} {path}\n" for _, mode, _, blob, _, path in kept]
        stream.append(f"M 100644 inline dvclive/metrics.json\ndata {len(content)}\n{content}\n")
    git(folder, "fast-import", "--quiet", stdin="".join(stream).encode())
