from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.capture.job import Job, detect_job, parent_identity


def ranks(environ: dict[str, str], names: list[str], size: int, parent: str = "p") -> list[Job]:
    """The jobs that all ranks of one launch see; `names` are the variables that hold the rank."""
    found = []
    for rank in range(size):
        job = detect_job({**environ, **dict.fromkeys(names, str(rank))}, parent=parent)
        assert job is not None
        found.append(job)
    return found


def only_key(jobs: list[Job]) -> str:
    (key,) = {job.key for job in jobs}
    assert key is not None
    return key


TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "4",
    "LOCAL_RANK": "0",
}
BATCH = {
    "SLURM_JOB_ID": "77",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_JOB_NAME": "train",
}
STEP = {**BATCH, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"}


def test_no_job() -> None:
    assert detect_job({}) is None
    assert detect_job({"RANK": "3", "WORLD_SIZE": "4", "JOB_ID": "5", "HOSTNAME": "h"}) is None


class TestTorchrun:
    def test_all_ranks_share_a_key(self) -> None:
        jobs = ranks(TORCHRUN, ["RANK", "LOCAL_RANK"], 4)
        assert [job.rank for job in jobs] == [0, 1, 2, 3]
        assert [job.local_rank for job in jobs] == [0, 1, 2, 3]
        assert {job.world_size for job in jobs} == {4}
        assert jobs[0].scheduler == jobs[0].launcher == "torchrun"
        assert only_key(jobs)

    def test_two_launches_on_one_machine_differ_by_their_agent(self) -> None:
        first, second = (only_key(ranks(TORCHRUN, ["RANK"], 4, parent)) for parent in "ab")
        assert first != second

    def test_over_several_nodes_the_agents_differ_and_do_not_count(self) -> None:
        environ = {**TORCHRUN, "LOCAL_WORLD_SIZE": "2"}
        first, second = (only_key(ranks(environ, ["RANK"], 4, parent)) for parent in "ab")
        assert first == second

    def test_over_several_nodes_under_srun_the_step_counts(self) -> None:
        environ = {**STEP, **TORCHRUN, "LOCAL_WORLD_SIZE": "2"}
        first = only_key(ranks(environ, ["RANK"], 4))
        second = only_key(ranks({**environ, "SLURM_STEP_ID": "1"}, ["RANK"], 4))
        assert first != second

    def test_a_restart_is_another_launch(self) -> None:
        again = {**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "1"}
        assert only_key(ranks(TORCHRUN, ["RANK"], 4)) != only_key(ranks(again, ["RANK"], 4))

    def test_one_process_is_not_distributed(self) -> None:
        job = detect_job({**TORCHRUN, "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "RANK": "0"})
        assert job is not None
        assert (job.rank, job.local_rank, job.key, job.world_size) == (None, None, None, 1)

    def test_inside_slurm_it_is_torchruns_rank_that_counts(self) -> None:
        job = detect_job({**STEP, **TORCHRUN, "RANK": "3", "SLURM_PROCID": "1"})
        assert job is not None
        assert (job.scheduler, job.launcher, job.rank) == ("slurm", "torchrun", 3)
        assert job.ids["SLURM_JOB_ID"] == "77"
        assert job.ids["TORCHELASTIC_RUN_ID"] == "none"


class TestSlurm:
    def test_a_step_of_several_tasks(self) -> None:
        jobs = ranks(STEP, ["SLURM_PROCID"], 4)
        assert [job.rank for job in jobs] == [0, 1, 2, 3]
        assert jobs[0].launcher == "srun"
        assert only_key(jobs) == "slurm:77.0.0"

    def test_a_batch_script_works_alone(self) -> None:
        """It has SLURM_PROCID=0 and SLURM_NTASKS=4, yet nobody else will ever come."""
        job = detect_job(BATCH)
        assert job is not None
        assert (job.scheduler, job.launcher, job.rank, job.key) == ("slurm", None, None, None)
        assert job.ids == {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train"}

    def test_a_step_of_one_task_works_alone(self) -> None:
        job = detect_job({**STEP, "SLURM_STEP_NUM_TASKS": "1"})
        assert job is not None
        assert job.rank is None

    def test_steps_and_requeues_are_launches_of_their_own(self) -> None:
        keys = {
            only_key(ranks({**STEP, **change}, ["SLURM_PROCID"], 4))
            for change in (
                {},
                {"SLURM_STEP_ID": "1"},
                {"SLURM_RESTART_COUNT": "1"},
                {"SLURM_JOB_ID": "78"},
            )
        }
        assert len(keys) == 4

    def test_array_ids_are_recorded(self) -> None:
        job = detect_job({**BATCH, "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "7"})
        assert job is not None
        assert job.ids["SLURM_ARRAY_TASK_ID"] == "7"


OMPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}


class TestMpi:
    def test_open_mpi(self) -> None:
        environ = {**OMPI, "PMIX_NAMESPACE": "prterun-node-12@1"}
        jobs = ranks(environ, ["OMPI_COMM_WORLD_RANK"], 2)
        assert [job.rank for job in jobs] == [0, 1]
        assert only_key(jobs) == "openmpi:prterun-node-12@1"

    def test_open_mpi_before_pmix(self) -> None:
        environ = {**OMPI, "OMPI_MCA_ess_base_jobid": "123"}
        assert only_key(ranks(environ, ["OMPI_COMM_WORLD_RANK"], 2)) == "openmpi:123"

    def test_mpich_on_one_node_is_told_by_its_parent(self) -> None:
        environ = {"PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"}
        first, second = (only_key(ranks(environ, ["PMI_RANK"], 2, parent)) for parent in "ab")
        assert first != second

    def test_mpich_over_nodes_is_told_by_the_scheduler_or_not_at_all(self) -> None:
        environ = {"PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"}
        assert {job.key for job in ranks(environ, ["PMI_RANK"], 4)} == {None}
        environ["PBS_JOBID"] = "9.server"
        jobs = ranks(environ, ["PMI_RANK"], 4)
        assert only_key(jobs) == "mpich:9.server:0"
        assert jobs[0].scheduler == "pbs"

    def test_srun_with_pmi_is_a_slurm_step(self) -> None:
        environ = {**STEP, "PMI_SIZE": "4"}
        assert only_key(ranks(environ, ["PMI_RANK", "SLURM_PROCID"], 4)) == "slurm:77.0.0"

    def test_jsrun(self) -> None:
        environ = {"LSB_JOBID": "5", "JSM_NAMESPACE_SIZE": "2", "PMIX_NAMESPACE": "1"}
        jobs = ranks(environ, ["JSM_NAMESPACE_RANK"], 2)
        assert only_key(jobs) == "jsrun:5:1"
        assert jobs[0].scheduler == "lsf"


@pytest.mark.parametrize(
    ("environ", "scheduler", "ids"),
    [
        ({"LSB_JOBID": "5", "LSB_JOBINDEX": "2"}, "lsf", {"LSB_JOBID": "5", "LSB_JOBINDEX": "2"}),
        ({"PBS_JOBID": "5.s"}, "pbs", {"PBS_JOBID": "5.s"}),
        (
            {"JOB_ID": "5", "SGE_TASK_ID": "undefined", "QUEUE": "all.q"},
            "sge",
            {"JOB_ID": "5", "QUEUE": "all.q"},
        ),
        (
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "train-0"},
            "kubernetes",
            {"HOSTNAME": "train-0"},
        ),
    ],
)
def test_other_schedulers(environ: dict[str, str], scheduler: str, ids: dict[str, str]) -> None:
    job = detect_job(environ)
    assert job == Job(scheduler, None, ids)


def test_ranks_set_by_an_operator() -> None:
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "MASTER_ADDR": "train-master-0",
        "MASTER_PORT": "23456",
        "WORLD_SIZE": "3",
    }
    jobs = ranks(environ, ["RANK"], 3)
    assert jobs[0].scheduler == "kubernetes"
    assert only_key(jobs) == "torch:train-master-0:23456"


def test_ranks_of_a_launcher_on_one_node_are_told_by_it() -> None:
    environ = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "WORLD_SIZE": "2"}
    first, second = (only_key(ranks(environ, ["RANK"], 2, parent)) for parent in "ab")
    assert first == second
    environ["LOCAL_SIZE"] = "2"
    first, second = (only_key(ranks(environ, ["RANK"], 2, parent)) for parent in "ab")
    assert first != second


@pytest.mark.parametrize("rank", ["", "x", "-1", "4", "1.0"])
def test_a_rank_that_makes_no_sense_is_none(rank: str) -> None:
    assert detect_job({**TORCHRUN, "RANK": rank}) is None


def test_plain_values() -> None:
    job = detect_job({**STEP, "SLURM_PROCID": "1"})
    assert job is not None
    assert job.to_dict() == {
        "scheduler": "slurm",
        "launcher": "srun",
        "rank": 1,
        "world_size": 4,
        "local_rank": 0,
        "ids": {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train"},
    }


@given(st.dictionaries(st.sampled_from([*TORCHRUN, *STEP, "RANK", "PMI_RANK", "PMI_SIZE", "PBS_JOBID"]), st.text()))
def test_any_environment_is_taken(environ: dict[str, str]) -> None:
    detect_job(environ, parent="p")


def test_all_children_of_a_process_name_the_same_parent() -> None:
    code = "from gittrack.capture.job import parent_identity as p; print(p())"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
        ).stdout
        for _ in range(2)
    }
    assert len(said) == 1
    assert f":{os.getpid()}:" in said.pop()
    assert parent_identity() == parent_identity()
