"""The ranks of a distributed job share one run without talking to each other."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from gittrack.project import Project
from tests.helpers import Repo

SCRIPT = """
import os, signal, sys
import gittrack
def wait():
    print('here', flush=True)
    sys.stdin.readline()
wait()
run = gittrack.start_run('job', params={'lr': 0.1}, tags={'kind': 'ddp'})
rank = int(os.environ.get('RANK') or os.environ['SLURM_PROCID'])
run.log_metric('loss', rank)
run.log_metrics({'acc': rank, 'n': 1})
run.log_text(str(rank), f'rank{rank}.txt')
wait()
{middle}
with run:
    run.log_metric('late', rank)
    {end}
"""


def torchrun(rank: int, size: int, port: int = 29500) -> dict[str, str]:
    return {
        "TORCHELASTIC_RUN_ID": "none",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


def slurm(rank: int, size: int, job: int = 17) -> dict[str, str]:
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_STEP_NUM_TASKS": str(size),
        "SLURM_NTASKS": str(size),
    }


def by_hand(rank: int, size: int) -> dict[str, str]:
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "12345", "RANK": str(rank), "WORLD_SIZE": str(size)}


class Ranks:
    """Processes that wait at every step until they are told to go on."""

    def __init__(
        self, repo: Repo, environments: Sequence[Mapping[str, str]], middle: str = "", end: str = "pass"
    ) -> None:
        code = SCRIPT.replace("{middle}", middle).replace("{end}", end)
        self.all = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=repo.path,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for environment in environments
        ]

    def wait(self, *which: int) -> None:
        """Until these (else all) have come to their next stop."""
        for one in [self.all[one] for one in which] or self.all:
            assert one.stdout is not None
            assert one.stdout.readline() == "here\n", one.communicate()

    def release(self, *which: int) -> None:
        for one in [self.all[one] for one in which] or self.all:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()

    def go(self, *which: int) -> None:
        self.wait(*which)
        self.release(*which)

    def end(self, *which: int) -> list[str]:
        """Their errors, when all have ended."""
        return [one.communicate(timeout=60)[1] for one in ([self.all[one] for one in which] or self.all)]


def check_complete(project: Project, size: int) -> None:
    (found,) = project.runs()
    assert (found.name, found.status, found.params, found.tags) == ("job", "finished", {"lr": 0.1}, {"kind": "ddp"})
    for rank in range(size):
        prefix = f"rank{rank}/" if rank else ""
        assert found.metrics[f"{prefix}loss"] == rank
        assert found.metrics[f"{prefix}late"] == rank
        assert found.metrics[f"{prefix}acc"] == rank
    assert len(found.artifacts) == size
    assert found.state.attempt == 1
    assert project.live() == []


@pytest.mark.parametrize("launcher", [torchrun, slurm, by_hand])
def test_four_ranks_are_one_run_and_the_last_one_out_seals_it(project: Project, repo: Repo, launcher: object) -> None:
    ranks = Ranks(repo, [launcher(rank, 4) for rank in range(4)])  # type: ignore[operator]
    ranks.go()
    ranks.wait()
    ranks.release()
    assert ranks.end() == [""] * 4
    # Nobody else has looked yet: one of them recorded it.
    assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == 1
    check_complete(project, 4)
    assert repo.git("for-each-ref", "refs/gittrack/") == ""


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
def test_ranks_may_leave_in_any_order(project: Project, repo: Repo, order: tuple[int, ...]) -> None:
    ranks = Ranks(repo, [torchrun(rank, 3) for rank in range(3)])
    ranks.go()
    ranks.wait()
    for rank in order[:-1]:
        ranks.release(rank)
        assert ranks.end(rank) == [""]
        assert [run.status for run in project.runs()] == ["running"]
    ranks.release(order[-1])
    assert ranks.end(order[-1]) == [""]
    check_complete(project, 3)


def test_ranks_that_leave_at_the_same_moment(project: Project, repo: Repo) -> None:
    for number in range(4):
        ranks = Ranks(repo, [slurm(rank, 3, job=number) for rank in range(3)])
        ranks.go()
        ranks.wait()
        ranks.release()
        assert ranks.end() == [""] * 3
        assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == number + 1


def test_a_rank_that_comes_when_the_others_have_left_loses_nothing(project: Project, repo: Repo) -> None:
    ranks = Ranks(repo, [torchrun(rank, 3) for rank in range(3)])
    ranks.go(0, 1)
    ranks.go(0, 1)
    assert ranks.end(0, 1) == [""] * 2
    ranks.go(2)
    ranks.go(2)
    assert ranks.end(2) == [""]
    (found,) = project.runs()
    assert found.status == "finished"
    assert {"loss": 0.0, "rank1/loss": 1.0, "rank2/loss": 2.0}.items() <= found.metrics.items()
    assert sorted(one.path for one in found.artifacts) == ["rank0.txt", "rank1.txt", "rank2.txt"]
    assert found.params == {"lr": 0.1}
    assert project.live() == []


def test_only_rank_0_tracks(project: Project, repo: Repo) -> None:
    """A common way to write it: the others never start a run."""
    ranks = Ranks(repo, [torchrun(0, 4)])
    ranks.go()
    ranks.wait()
    ranks.release()
    assert ranks.end() == [""]
    assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == 1
    assert [run.status for run in project.runs()] == ["finished"]


def test_the_worst_end_of_a_rank_is_that_of_the_job(project: Project, repo: Repo) -> None:
    ranks = Ranks(
        repo, [torchrun(rank, 3) for rank in range(3)], end="if rank == 1: raise ValueError('rank 1 gave up')"
    )
    ranks.go()
    ranks.wait()
    for rank in (1, 0, 2):
        ranks.release(rank)
        ranks.end(rank)
    (found,) = project.runs()
    assert found.status == "failed"
    assert found.record.error is not None
    assert found.record.error.message == "rank 1 gave up"


def test_a_killed_rank_does_not_hold_the_run_for_ever(project: Project, repo: Repo) -> None:
    ranks = Ranks(
        repo, [torchrun(rank, 3) for rank in range(3)], middle="if rank == 2: os.kill(os.getpid(), signal.SIGKILL)"
    )
    ranks.go()
    ranks.wait()
    ranks.release(2)
    ranks.end(2)
    assert ranks.all[2].returncode == -signal.SIGKILL
    ranks.release(0, 1)
    assert ranks.end(0, 1) == [""] * 2
    assert len(repo.git("for-each-ref", "refs/experiments/").splitlines()) == 1
    (found,) = project.runs()
    assert found.metrics["rank2/loss"] == 2.0


def test_all_ranks_killed_are_one_lost_run(project: Project, repo: Repo) -> None:
    ranks = Ranks(repo, [torchrun(rank, 3) for rank in range(3)], middle="os.kill(os.getpid(), signal.SIGKILL)")
    ranks.go()
    ranks.wait()
    ranks.release()
    ranks.end()
    (found,) = project.runs()
    assert found.status == "lost"
    assert {"loss": 0.0, "rank1/loss": 1.0, "rank2/loss": 2.0}.items() <= found.metrics.items()


def test_a_launch_again_with_the_same_ids_is_the_next_attempt(project: Project, repo: Repo) -> None:
    for _ in range(2):
        ranks = Ranks(repo, [torchrun(rank, 2) for rank in range(2)])
        ranks.go()
        ranks.wait()
        ranks.release()
        assert ranks.end() == [""] * 2
    (found,) = project.runs()
    assert (found.status, found.state.attempt) == ("finished", 2)
    assert list(found.history("rank1/loss").values) == [1.0, 1.0]


def test_a_launch_again_after_all_were_killed_is_the_next_attempt(project: Project, repo: Repo) -> None:
    ranks = Ranks(repo, [torchrun(rank, 2) for rank in range(2)], middle="os.kill(os.getpid(), signal.SIGKILL)")
    ranks.go()
    ranks.wait()
    ranks.release()
    ranks.end()
    ranks = Ranks(repo, [torchrun(rank, 2) for rank in range(2)])
    ranks.go()
    ranks.wait()
    ranks.release()
    assert ranks.end() == [""] * 2
    (found,) = project.runs()
    assert (found.status, found.state.attempt) == ("finished", 2)
    assert [str(one.status) for one in found.record.attempts] == ["lost", "finished"]


def test_two_jobs_at_once_are_two_runs(project: Project, repo: Repo) -> None:
    environments = [launch(rank, 2) for rank in range(2) for launch in (torchrun, slurm)]
    random.shuffle(environments)
    ranks = Ranks(repo, environments)
    ranks.go()
    ranks.wait()
    ranks.release()
    assert ranks.end() == [""] * 4
    assert len(project.runs()) == 2
    for run in project.runs():
        assert run.metrics["rank1/loss"] == 1.0


def test_ranks_of_a_dirty_tree_share_one_snapshot(project: Project, repo: Repo) -> None:
    repo.write("train.py", "changed")
    environments = [{**torchrun(rank, 3), "GITTRACK_RUN_ALLOW_DIRTY": "all"} for rank in range(3)]
    ranks = Ranks(repo, environments)
    ranks.go()
    ranks.wait()
    ranks.release()
    errors = ranks.end()
    assert not any("could not" in said for said in errors)
    (found,) = project.runs()
    assert found.record.code.snapshot is not None
    assert repo.git("show", f"{found.commit}:train.py") == "changed"
    assert repo.git("for-each-ref", "refs/gittrack/") == ""


def test_a_world_of_one_is_an_ordinary_run(project: Project, repo: Repo) -> None:
    for _ in range(2):
        ranks = Ranks(repo, [torchrun(0, 1)])
        ranks.go()
        ranks.wait()
        ranks.release()
        assert ranks.end() == [""]
    assert [run.state.attempt for run in project.runs()] == [1, 1]


def test_wrapped_commands_of_several_ranks_are_runs_of_their_own(project: Project, repo: Repo) -> None:
    """`srun gittrack run -- …`: each wraps one process, so each is a run, with all that a run needs."""
    code = "import gittrack; gittrack.Project.open().run_command(['true'], name='r')"
    wrapped = [
        subprocess.Popen([sys.executable, "-c", code], cwd=repo.path, env={**os.environ, **slurm(rank, 3)})
        for rank in range(3)
    ]
    assert [one.wait(60) for one in wrapped] == [0, 0, 0]
    assert [run.status for run in project.runs()] == ["finished"] * 3
