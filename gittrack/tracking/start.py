"""Starting a run: a new one, one that an enclosing `gittrack run` started, one rank of a job, or a resumed one."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from gittrack.capture.code import capture_code
from gittrack.capture.identity import signature
from gittrack.capture.job import detect_job, parent_identity
from gittrack.domain.names import name_from_id
from gittrack.domain.run import CodeCapture, RunRecord, RunState
from gittrack.errors import GittrackError, RepositoryError, RunBusy
from gittrack.git.objects import Signature
from gittrack.git.refs import RefChange, change_refs
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.find import find_chain
from gittrack.ledger.read import read_record
from gittrack.live.folder import RunFolder
from gittrack.live.owner import Liveness, Owner, this_process
from gittrack.settings import Settings
from gittrack.tracking.active import ActiveRun
from gittrack.tracking.assemble import code_to_event
from gittrack.tracking.ground import Ground
from gittrack.tracking.guard import guard_exit
from gittrack.tracking.inputs import notice_inputs
from gittrack.tracking.join import first_start, join_outer, journal_of, log_plan, warn
from gittrack.tracking.places import find_folder, live_folder, make_spare, run_folder, spare_folder
from gittrack.tracking.plan import Plan
from gittrack.tracking.protocol import inherited_run
from gittrack.tracking.seal import fetch_large, seal
from gittrack.values import replace

_log = logging.getLogger("gittrack")
# Counts the runs of this process, so that all ranks of a job mean the same one by the n-th.
_ordinals = itertools.count(1)
# How often a rank looks again while another has the run's folder locked: ten seconds in all.
_PATIENCE = 500


def start(
    repository: Repository,
    settings: Settings,
    plan: Plan,
    environ: Mapping[str, str] | None = None,
    *,
    code: CodeCapture | None = None,
) -> ActiveRun:
    """Start, join or resume a run as the plan and the environment say; with `code` its code was captured before.

    Raises DirtyTree, NoCommitYet or UsageError before anything is recorded; RunBusy when the run to resume is still active.
    """
    environ = os.environ if environ is None else environ
    joined = join_outer(plan, environ)
    if joined is not None:
        return joined
    outer = inherited_run(environ)
    if outer is not None and plan.experiment is None:
        folder = RunFolder(outer[1], outer[0])
        if folder.exists():
            plan = replace(plan, experiment=first_start(folder).get("experiment"))
    if outer is not None and plan.parent is None and plan.resume is None:
        # A second run of one script, or a `gittrack run` inside another: a run of its own inside the outer one.
        plan = replace(plan, parent=outer[0])
    return _Starter(repository, settings, plan, environ, code).start()


# --- starting


class _Starter:
    """One start, step by step; what is undone by a failure is undone here."""

    def __init__(
        self,
        repository: Repository,
        settings: Settings,
        plan: Plan,
        environ: Mapping[str, str],
        code: CodeCapture | None,
    ) -> None:
        self.captured = code
        self.repository = repository
        self.settings = settings
        self.plan = plan
        self.environ = environ
        self.now = time.time()
        self.author: Signature = signature(repository, environ, now=self.now)
        self.job = detect_job(environ, parent=parent_identity())

    def start(self) -> ActiveRun:
        plan = self.plan
        rank = self._rank()
        resume = plan.resume
        experiment = plan.experiment or self.settings.experiment
        run_id, attempt = uuid.uuid4().hex, 1
        if rank is not None and resume is None:
            run_id = self._job_run_id()
            # A launcher that restarts a job may give the same ids again, and a rank may come when the others have
            # left already: that is the next attempt.
            self._seal_earlier(run_id)
            resume = self._recorded(run_id)
        if resume is not None:
            run_id, attempt, experiment = resume.id, resume.attempt + 1, resume.experiment
        code = self._code()
        ground = self._ground()
        owner = this_process("creator" if rank is None else "rank", attempt, rank)
        suffix = f"-rank{rank}-{os.getpid()}" if rank else ""
        if plan.resume is None:
            folder, claimed = self._claim(run_id, owner, suffix)
            if rank is not None and resume is None:
                # The others may have ended, and recorded the run, before we had claimed our place.
                resume = self._recorded(run_id)
                if resume is not None:
                    owner = replace(owner, attempt=resume.attempt + 1)
                    experiment = resume.experiment
        else:
            folder, claimed, owner, suffix = self._continue(run_id, owner)
        if self.repository.root is not None and not rank:
            folder.stand(self.repository.root)
        run = ActiveRun(
            run_id=run_id,
            name=plan.name or (resume.name if resume else name_from_id(run_id)),
            experiment=experiment,
            folder=folder,
            journal=journal_of(folder, suffix, rank),
            role=owner.role,
            seal=self._finish,
            parent=plan.parent,
            attempt=owner.attempt,
            owner=claimed,
            masks=self.settings.environment.mask,
            ground=ground,
        )
        try:
            if not rank:
                self._keep(run_id, code)
            self._begin(run, code, rank, resume)
        except BaseException:
            run.abandon()
            if plan.resume is None and rank is None:
                self._undo(run)
            raise
        guard_exit()
        return run

    def _recorded(self, run_id: str) -> RunState | None:
        """The run of this id if it is in git, whatever its experiment."""
        chain = find_chain(self.repository, run_id)
        return None if chain is None else chain.state

    def _begin(self, run: ActiveRun, code: CodeCapture, rank: int | None, resume: RunState | None) -> None:
        """The first records; of a rank only that it is there, since rank 0 says all the rest."""
        plan = self.plan
        run.event(
            "start",
            attempt=run.attempt,
            rank=rank,
            id=run.id,
            name=run.name,
            named=plan.name is not None,
            experiment=run.experiment,
            filed=plan.experiment is not None,
            code=code_to_event(code),
            command=self._command(),
            script=self._script(),
            cwd=self._cwd(),
            author=self.author.identity,
            zone=self.author.zone,
            host=socket.gethostname(),
            parent=plan.parent,
            base=resume.commit if resume else None,
            head=resume.head if resume else None,
            ground=None if run.ground is None else run.ground.to_event(),
            job=None if self.job is None else self.job.to_dict(),
        )
        if resume is not None and resume.commit is not None:
            record = read_record(self.repository, resume.commit)
            run.continue_steps({key: one.last_step for key, one in record.summary.items()})
            self._fetch_earlier(record)
        if rank:
            return
        log_plan(run, plan)
        self._watch(run)
        if code.dirty:
            self._tell_dirty(run, code)

    def _fetch_earlier(self, record: RunRecord) -> None:
        """What was logged before and lies outside git is needed at the end: now somebody is there to read what is wrong."""
        for pointer in record.large.values():
            try:
                fetch_large(self.repository, pointer)
            except (GittrackError, OSError) as error:
                warn(
                    f"the history of the run so far cannot be had ({error}); training goes on, and when it is here again "
                    "'gittrack recover' records the run"
                )

    def _undo(self, run: ActiveRun) -> None:
        """A run that could not be started was never there."""
        try:
            run.folder.remove()
            held = self.repository.resolve(layout.kept_ref(run.id))
            if held is not None:
                change_refs(self.repository, [RefChange(layout.kept_ref(run.id), None, held)])
        except (GittrackError, OSError) as error:
            _log.debug("undoing a start: %s", error)

    def _rank(self) -> int | None:
        """Which rank of a distributed job this is; None alone, and for a command that is wrapped whole."""
        job = self.job
        if job is None or job.key is None or job.rank is None or (job.world_size or 1) < 2:
            return None
        return None if self.plan.command is not None else job.rank

    def _code(self) -> CodeCapture:
        if self.captured is not None:
            return self.captured
        return capture_code(
            self.repository,
            allow_dirty=self.plan.allow_dirty or self.settings.run.allow_dirty,
            author=self.author,
            snapshot_limit=self.settings.run.snapshot_limit,
        )

    def _ground(self) -> Ground:
        return Ground(
            self.repository.common_dir,
            self.repository.root,
            self.settings.artifacts.inline,
            self.plan.allow_dirty or self.settings.run.allow_dirty,
            self.settings.run.notice_inputs,
        )

    def _job_run_id(self) -> str:
        """All ranks of one job come to the same id without talking to each other; `n` counts the runs of the script."""
        assert self.job is not None
        # Two scripts of one allocation are two runs, even where the launcher's variables do not tell them apart.
        script = os.path.basename(sys.argv[0]) if sys.argv else ""
        return hashlib.sha256(f"{self.job.key}#{script}#{next(_ordinals)}".encode()).hexdigest()[:32]

    def _seal_earlier(self, run_id: str) -> None:
        """Record what an earlier launch left behind; one of the ranks does it, the others wait for that."""
        for _ in range(_PATIENCE):
            folder = find_folder(self.repository, run_id)
            if folder is None or not folder.owners() or folder.liveness() is not Liveness.DEAD:
                return
            try:
                seal(self.repository, folder, unless_alive=True)
            except RunBusy:
                time.sleep(0.02)
            except (GittrackError, OSError) as error:
                _log.debug("an earlier launch: %s", error)
                return

    def _claim(self, run_id: str, owner: Owner, suffix: str) -> tuple[RunFolder, Path | None]:
        """The run's folder with our name in it; while the repository cannot be written, one in the spare place."""
        folder = find_folder(self.repository, run_id) or run_folder(live_folder(self.repository), run_id)
        try:
            folder.create()
            claimed = (
                folder.claim(owner, suffix) if owner.role != "rank" else self._claim_together(folder, owner, suffix)
            )
            return folder, claimed
        except OSError as error:
            problem = error
        if folder.owners():
            # The other ranks are there already; the journal finds its own way.
            warn(f"{folder.path} cannot be written ({problem.strerror}); training goes on")
            return folder, None
        spare = RunFolder(spare_folder(self.repository), run_id)
        warn(
            f"{folder.path.parent} cannot be written ({problem.strerror}); the run is kept in {spare.path} until "
            "'gittrack recover' can record it"
        )
        with contextlib.suppress(OSError):
            # Half made, it would hide the other.
            folder.remove()
        try:
            make_spare(spare.path)
            spare.create()
            return spare, spare.claim(owner, suffix)
        except OSError:
            # The journal tries again with every record and keeps what it can in memory.
            return folder, None

    def _claim_together(self, folder: RunFolder, owner: Owner, suffix: str) -> Path:
        """A rank may come while the others, of this launch or an earlier one, just clear the folder away."""
        for _ in range(_PATIENCE):
            try:
                with folder.locked():
                    if folder.exists():
                        return folder.claim(owner, suffix)
            except RunBusy:
                time.sleep(0.02)
            folder.create()
        return folder.claim(owner, suffix)

    def _continue(self, run_id: str, owner: Owner) -> tuple[RunFolder, Path | None, Owner, str]:
        """The folder of a run to resume, which nobody else may be writing; raises RunBusy."""
        folder = find_folder(self.repository, run_id) or run_folder(live_folder(self.repository), run_id)
        try:
            folder.create()
        except OSError:
            return *self._claim(run_id, owner, ""), owner, ""
        with folder.locked():
            if folder.liveness() is not Liveness.DEAD:
                raise RunBusy(
                    f"run {run_id[:8]} is still active; stop it first, or, when its machine is gone, run "
                    f"'gittrack recover --force {run_id[:8]}'"
                )
            for path in folder.owners():
                path.unlink(missing_ok=True)
            started = [event["attempt"] for event in folder.replay().events if event["op"] == "start"]
            owner = replace(owner, attempt=max([owner.attempt, *(int(one) + 1 for one in started)]))
            suffix = f"-attempt{owner.attempt}" if folder.journal.exists() else ""
            return *self._claim(run_id, owner, ""), owner, suffix

    def _keep(self, run_id: str, code: CodeCapture) -> None:
        """Until the run is a commit, nothing else may reach its code: an amended HEAD, a snapshot."""
        try:
            held = self.repository.resolve(layout.kept_ref(run_id)) if self.plan.resume or self.job else None
            change_refs(
                self.repository,
                [RefChange(layout.kept_ref(run_id), code.captured, held)],
                "gittrack: start",
            )
        except (GittrackError, OSError) as error:
            if self.job is None:
                warn(f"the code of the run could not be protected from 'git gc' ({error}); training goes on")

    def _command(self) -> list[str]:
        from gittrack.capture.secrets import mask_argv

        if self.plan.command is not None:
            command: Sequence[str] = self.plan.command
        else:
            command = [
                os.path.basename(sys.executable or "python"),
                *(sys.orig_argv[1:] if sys.orig_argv else []),
            ]
        return [_text(one) for one in mask_argv(list(command), self.settings.environment.mask)]

    def _script(self) -> str | None:
        """The script that runs, relative to the top of the worktree where it lies inside."""
        candidates = list(self.plan.started or self.plan.command or ()) or [sys.argv[0] if sys.argv else ""]
        for one in candidates:
            path = Path(one)
            # A whole program may stand there, as an argument of -c; os.path takes even that for no file.
            if one and not one.startswith("-") and path.suffix and os.path.isfile(one):
                return _text(self._relative(path))
        return None

    def _relative(self, path: Path) -> str:
        root = self.repository.root
        full = Path(os.path.abspath(path))
        if root is not None and full.is_relative_to(root):
            return full.relative_to(root).as_posix() or "."
        return str(path)

    def _cwd(self) -> str:
        try:
            return _text(self._relative(Path.cwd()))
        except OSError:
            return "."

    def _watch(self, run: ActiveRun) -> None:
        """Environment, utilisation and console; what cannot be watched is told and holds nobody up."""
        parts = {
            "the environment": self._watch_environment,
            "the utilisation": self._watch_utilisation,
            "the console": self._watch_console,
            "what it reads": self._watch_inputs,
            "what it leaves in files": self._watch_results,
        }
        for what, begin in parts.items():
            try:
                begin(run)
            except Exception as error:
                run.warn(f"{what} is not recorded ({type(error).__name__}: {error})")

    def _watch_environment(self, run: ActiveRun) -> None:
        from gittrack.capture.environment import capture_fast, capture_slow

        names, masks = self.settings.environment.variables, self.settings.environment.mask
        root = self.repository.root or self.repository.git_dir
        command = list(self.plan.started or self.plan.command or ()) or None
        environment = capture_fast(root, names, masks, command=command)
        run.event("environment", values=environment.to_dict())

        def rest() -> None:
            try:
                run.event("environment", values=capture_slow(environment).to_dict())
            except Exception as error:
                _log.debug("environment: %s", error)

        thread = threading.Thread(target=rest, name="gittrack-environment", daemon=True)
        thread.start()
        run.at_finish(lambda: thread.join(3.0))

    def _watch_utilisation(self, run: ActiveRun) -> None:
        interval = self.settings.run.system_metrics
        if interval:
            from gittrack.capture.utilisation import Sampler

            sampler = Sampler(interval, run.log_metrics)
            sampler.start()
            run.at_finish(sampler.stop)

    def _watch_console(self, run: ActiveRun) -> None:
        wanted = self.settings.run.console if self.plan.console is None else self.plan.console
        if wanted and self.plan.command is None:
            from gittrack.capture.console import ConsoleLog
            from gittrack.capture.tee import Tee

            tee = Tee(ConsoleLog(run.folder.path))
            tee.install()
            run.at_finish(tee.uninstall)

    def _watch_inputs(self, run: ActiveRun) -> None:
        root = self.repository.root
        # Inside a command that `gittrack run` started, that one looks after it.
        if root is None or not self.settings.run.notice_inputs or self.plan.command is not None:
            return
        from gittrack.capture import opens

        if opens.VARIABLE in self.environ:
            return
        opened = opens.watch_this_process(root)

        def at_end() -> None:
            opens.stop_watching(opened)
            notice_inputs(run, opened)

        run.at_finish(at_end)

    def _watch_results(self, run: ActiveRun) -> None:
        if self.repository.root is None:
            return
        named = frozenset(self.settings.metrics.files)

        def at_end() -> None:
            from gittrack.tracking.results import find_results

            try:
                found = find_results(self.repository, self.now, named)
            except (GittrackError, OSError) as error:
                run.warn(f"which files the run left is not recorded ({error})")
                return
            if found:
                run.event("results", values={name: one.to_dict() for name, one in found.items()})

        run.at_finish(at_end)

    @staticmethod
    def _tell_dirty(run: ActiveRun, code: CodeCapture) -> None:
        listed = ", ".join(code.files[:5]) + (f" and {len(code.files) - 5} more" if len(code.files) > 5 else "")
        text = f"the tree is dirty; a snapshot holds {listed or 'no file'}"
        if code.unrecorded:
            text += f", and {len(code.unrecorded)} untracked files are not in it ({', '.join(code.unrecorded[:5])})"
        run.warn(text)

    def _finish(self, run: ActiveRun) -> str | None:
        # Our name goes first: of several that leave at the same moment, one at least then sees nobody else.
        if run.owner is not None:
            run.owner.unlink(missing_ok=True)
        # The last one out turns off the light: only then are all journals complete.
        if run.role == "rank" and run.folder.liveness() is not Liveness.DEAD:
            return None
        try:
            commit = seal(self.repository, run.folder, unless_alive=True)
        except RunBusy:
            if run.role == "rank":
                return None
            raise
        commit = commit or self.repository.resolve(layout.run_ref(run.experiment, run.id))
        if commit is None:
            raise RepositoryError("there is nothing left to record")
        return commit


def _text(value: str) -> str:
    return os.fsencode(value).decode("utf-8", "backslashreplace")
