"""Every benchmark runs, at a size that says nothing about speed, and prints its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers
from benchmarks.__main__ import GROUPS, TOY
from benchmarks.fixtures import write_runs
from benchmarks.harness import Bench, Sample, interleaved
from benchmarks.rows import Limit, Note, Row, text_line
from benchmarks.trackers import TRACKERS
from tests.helpers import Repo

ROOT = Path(__file__).parents[2]

EXPECTED = {
    "journal": {"run.log_metric", "gittrack.log_metric", "run.log_metrics", "acknowledged points lost"},
    "lifecycle": {"start + finish of an empty run", "finish of a run with 500 points"},
    "startup": {"gittrack --version", "import gittrack"},
    "ls": {"ls, 20 runs, loose refs", "ls, 20 runs, packed refs", "ls --all --json"},
    "size": {"one run after git gc"},
    "wrapper": {"gittrack run -- true", "run --isolated, 5 files, above", "run --isolated, 5 files, the first"},
    "remotes": {"push of 3 objects", "pull of 3 objects"},
    "data": {"a file of 100,000 bytes", "10 files"},
    "registry": {
        "model register",
        "promote --no-push",
        "model ls, 20 versions, 100 events",
        "model history of 20 events",
    },
    "guards": {"gittrack-clean-run, 20 runs", "gittrack-push-runs, 20 runs", "all guards of a commit, more"},
    "server": {"git push of a promotion, 4 refs, 62 tags of 1 model", "the update hook in that push"},
    "compare": {
        "diff of two configurations",
        "diff --alone",
        "report, 20 runs",
        "report --md",
        "report --html, 6 runs",
    },
}


def run_group(name: str, folder: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks", "--only", name, "--toy", "--json", "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# Servers, DVC and tags take long even for toys.
LONG = ("data", "guards", "registry", "remotes", "server")


@pytest.mark.parametrize(
    "group", [pytest.param(one, marks=pytest.mark.slow) if one in LONG else one for one in EXPECTED]
)
def test_every_group_prints_its_rows(group: str, tmp_path: Path) -> None:
    rows = run_group(group, tmp_path)
    for what in EXPECTED[group]:
        assert any(row["what"].startswith(what) for row in rows), f"no row says {what!r}"
    assert all(row["figure"] >= 0 and row["verdict"] in ("ok", "over", "") for row in rows)
    lost = [row["figure"] for row in rows if row["what"].startswith("acknowledged points lost")]
    assert not any(lost)
    assert not list(tmp_path.iterdir()), "what was made stays behind"


def test_people_get_a_table_and_the_bars_that_were_missed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "startup", "--toy", "--folder", str(tmp_path)]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert any(line.startswith("gittrack --version ") for line in lines)
    assert any(" bars held, " in line for line in lines)


def test_every_group_is_expected_here() -> None:
    assert {*EXPECTED, "peers"} == set(GROUPS)


def test_runs_written_quickly_are_like_recorded_ones(repo: Repo) -> None:
    write_runs(repo.path, 3, points=2)
    recorded = repo.python(
        "import gittrack\n"
        "shown = gittrack.runs()[0]\n"
        "with gittrack.start_run(experiment='recorded', params=shown.params) as run:\n"
        "    for step in range(2):\n"
        "        run.log_metrics(shown.metrics, step=step)\n"
    )
    assert recorded.returncode == 0
    listed = repo.gittrack_json("ls")
    assert len(listed) == 4
    commits = {run["experiment"]: run["commit"] for run in listed}
    files = {name: repo.git("ls-tree", "-r", "--name-only", commit) for name, commit in commits.items()}
    assert files["recorded"] == files["default"]
    assert repo.gittrack("fsck").returncode == 0


def test_peers_that_are_not_installed_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_PYTHON", tmp_path / "python")
    assert [type(row) for row in peers.rows(Bench(tmp_path, TOY))] == [Note]


def test_every_peer_is_pinned_and_has_a_name() -> None:
    pins = [line for line in peers.PINS.read_text().splitlines() if not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    assert {pin.split("==")[0] for pin in pins} == {*TRACKERS} - {"gittrack"} == set(peers._NAMES)


def test_a_bar_is_held_or_it_is_over() -> None:
    assert Row("x", 2.0, "s", bar=2.0).verdict == "ok"
    assert Row("x", 2.1, "s", bar=2.0).verdict == "over"
    assert Row("x", 2.1, "s").verdict == ""
    assert Row("x", 3.0, "us", bar=1.6, times_limit=True, limit=Limit(2.0, "write")).verdict == "ok"
    slow = Row("x", 4.0, "us", bar=1.6, times_limit=True, limit=Limit(2.0, "write"))
    assert slow.verdict == "over"
    assert text_line(slow.cells()).split() == [
        "x",
        "4",
        "us",
        "1.6",
        "x",
        "limit",
        "over",
        "2",
        "x",
        "2",
        "us",
        "write",
    ]


def test_percentiles_and_turns() -> None:
    assert Sample((3.0, 1.0, 2.0)).median == 2.0
    assert Sample((4.0, 1.0, 2.0, 3.0)).median == 2.5
    assert Sample(tuple(range(100))).percentile(99) == 99
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = interleaved({"a": lambda: measure("a"), "b": lambda: measure("b")}, 2)
    assert "".join(order) == "baabba"
    assert found["a"].values == (3.0, 6.0)


@pytest.mark.slow
def test_many_runs_print_their_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--runs", "30", "--folder", str(tmp_path)]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for what in ("bulk import of 30 runs, each", "disk per run, 30 runs as imported"):
        assert any(line.startswith(what) for line in lines), f"no row says {what!r}"
    assert not list(tmp_path.iterdir()), "what was made stays behind"
