from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from gittrack.errors import SettingsError
from gittrack.git.repository import Repository
from gittrack.settings import (
    PROTOCOL_VARIABLES,
    SCHEMA,
    SETTINGS_FILE,
    Goal,
    Settings,
    load_settings,
)
from gittrack.settings.template import TEMPLATE
from gittrack.tracking import protocol
from tests.helpers import Repo


def load(repo: Repo, environ: Mapping[str, str] | None = None) -> Settings:
    return load_settings(Repository.discover(repo.path), environ or {})


def load_text(repo: Repo, text: str | bytes) -> Settings:
    repo.write(SETTINGS_FILE, text)
    return load(repo)


def mistakes(repo: Repo, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        load(repo, environ)
    return str(raised.value)


# --- where settings come from


def test_without_any_file_everything_is_at_its_default(repo: Repo) -> None:
    settings = load(repo)
    assert settings.experiment == "default"
    assert settings.run.allow_dirty == "none"
    assert settings.run.system_metrics == 15.0
    assert settings.run.console is True
    assert settings.params.files == ("params.yaml",)
    assert settings.run.snapshot_limit == 10 << 20
    assert settings.origin("experiment") == "default"


def test_the_file_of_the_branch(repo: Repo) -> None:
    settings = load_text(
        repo,
        """\
        experiment: digits
        run: {allow_dirty: tracked, system_metrics: off, console: no, snapshot_limit: 1.5M}
        params:
          files: [a.yaml, conf/b.yaml]
          seed_like:
        """,
    )
    assert settings.experiment == "digits"
    assert settings.run.allow_dirty == "tracked"
    assert settings.run.system_metrics is None
    assert settings.run.console is False
    assert settings.run.snapshot_limit == 3 << 19
    assert settings.params.files == ("a.yaml", "conf/b.yaml")
    assert settings.params.seed_like == ("seed", "random_state", "fold"), "no value says nothing"
    assert settings.origin("params.files") == ".gittrack/config.yaml:4"


def test_a_stronger_place_wins(repo: Repo) -> None:
    repo.write(SETTINGS_FILE, "experiment: file\nrun: {allow_dirty: all, console: false}\n")
    repo.git("config", "gittrack.experiment", "git")
    repo.git("config", "gittrack.run.allow-dirty", "tracked")
    settings = load(repo, {"GITTRACK_EXPERIMENT": "variable", "GITTRACK_RUN_CONSOLE": ""})
    assert (settings.experiment, settings.run.allow_dirty) == ("variable", "tracked")
    assert settings.run.console is False, "an empty variable says nothing"
    assert settings.origin("experiment") == "GITTRACK_EXPERIMENT"
    assert settings.origin("run.allow_dirty") == "git config gittrack.run.allow-dirty"
    assert settings.origin("run.console") == ".gittrack/config.yaml:2"


def test_lists_in_git_and_in_variables(repo: Repo) -> None:
    repo.git("config", "--add", "gittrack.params.files", "a.yaml")
    repo.git("config", "--add", "gittrack.params.files", "b.yaml")
    settings = load(repo, {"GITTRACK_ENVIRONMENT_MASK": "*KEY*, MINE"})
    assert settings.params.files == ("a.yaml", "b.yaml")
    assert settings.environment.mask == ("*KEY*", "MINE")


def test_a_bare_repository_reads_the_committed_file(repo: Repo) -> None:
    repo.write(SETTINGS_FILE, "experiment: committed\n")
    repo.commit()
    repo.write(SETTINGS_FILE, "experiment: edited\n")
    repo.git("clone", "--quiet", "--bare", ".", "../bare.git")
    bare = Repository.discover(repo.path.parent / "bare.git")
    assert load_settings(bare, {}).experiment == "committed"
    assert load(repo).experiment == "edited"


def test_a_bare_repository_without_commits_or_file(repo: Repo) -> None:
    repo.git("init", "--quiet", "--bare", "../empty.git")
    assert load_settings(Repository.discover(repo.path.parent / "empty.git"), {}).run.console


def test_a_linked_worktree_has_its_own_file(repo: Repo) -> None:
    repo.git("worktree", "add", "--quiet", "../other")
    repo.write(SETTINGS_FILE, "experiment: here\n")
    assert load_settings(Repository.discover(repo.path.parent / "other"), {}).experiment == ("default")


def test_variables_that_are_no_settings_are_left_alone(repo: Repo) -> None:
    assert load(repo, dict.fromkeys(PROTOCOL_VARIABLES, "x")).experiment == "default"
    assert {protocol.RUN, protocol.LIVE} <= set(PROTOCOL_VARIABLES)
    assert not {setting.variable for setting in SCHEMA} & set(PROTOCOL_VARIABLES)


# --- goals


def test_goals_by_key_then_by_pattern_in_the_order_of_the_file(repo: Repo) -> None:
    settings = load_text(
        repo,
        """\
        metrics:
          goals:
            "val/*": {goal: min}
            val/acc: {goal: max, min_change: 0.002, role: gate}
            "*": max
        """,
    )
    assert settings.goal("val/acc") == Goal("max", 0.002, "gate")
    assert settings.goal("val/deep/loss") == Goal("min")
    assert settings.goal("anything") == Goal("max")
    assert list(settings.metrics.goals) == ["val/*", "val/acc", "*"]


def test_no_goal_is_none(repo: Repo) -> None:
    assert load(repo).goal("val/acc") is None


def test_goals_in_a_variable(repo: Repo) -> None:
    assert load(repo, {"GITTRACK_METRICS_GOALS": "{loss: min}"}).goal("loss") == Goal("min")


# --- mistakes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experimnt: x\n", "config.yaml:1: there is no setting 'experimnt'; did you mean experi"),
        ("\nallow_dirty: all\n", "config.yaml:2: .*did you mean run.allow_dirty"),
        ("run:\n  alow_dirty: all\n", "config.yaml:2: .*did you mean run.allow_dirty"),
        ("zzz: 1\n", "there are experiment, run.isolated"),
        ("run: {allow_dirty: some}\n", "must be none, tracked or all, not 'some'"),
        ("run: {allow_dirty: true}\n", "must be none, tracked or all, not True"),
        ("run: {system_metrics: -3}\n", "must be a duration like 15s or 1m, or false, not -3"),
        ("run: {system_metrics: 0s}\n", "must be a duration"),
        ("run: {system_metrics: true}\n", "must be a duration"),
        ("run: {snapshot_limit: lots}\n", "must be a size like 64KB or 10MB, not 'lots'"),
        ("run: {snapshot_limit: -1}\n", "must be a size"),
        ("artifacts: {retention: {kinds: [checkpoint]}}\n", "has kinds alone, which let nothing go"),
        ("run: {console: perhaps}\n", "must be true or false"),
        ("run: 7\n", "config.yaml:1: run must hold settings"),
        ("- run\n", "config.yaml:1: it must hold settings"),
        ("just text\n", "config.yaml:1: it must hold settings"),
        ("params: {files: {a: b}}\n", "must be a list of texts"),
        ("params: {files: [1, 2]}\n", "must be a list of texts"),
        ("experiment: a b\n", "config.yaml:1: experiment is wrong: .*git forbids ' '"),
        ("experiment: [a]\n", "cannot name an experiment"),
        ("metrics: {goals: [val/acc]}\n", "must be a mapping from metrics to goals"),
        ("metrics: {goals: {a: {goal: up}}}\n", "needs 'goal: min' or 'goal: max', not 'up'"),
        ("metrics: {goals: {a: {gaol: max}}}\n", "has no 'gaol'; did you mean goal"),
        ("metrics: {goals: {a: 3}}\n", "must be like {goal: max}, not 3"),
        ("metrics: {goals: {a: {goal: max, min_change: -1}}}\n", "min_change must be 0 or more"),
        ("metrics: {goals: {a: {goal: max, min_change: .nan}}}\n", "min_change must be 0 or more"),
        ("metrics: {goals: {a: {goal: max, role: x}}}\n", "role must be gate, watch or ignore"),
        (
            "metrics:\n  goals:\n    a: {goal: max}\n    a: min\n",
            "config.yaml:4: metrics.goals says 'a' again, after line 3",
        ),
        ("metrics: {goals: {a: {goal: max, goal: min}}}\n", "config.yaml:1: metrics.goals says 'goal' again"),
        ("run: {console: true}\nrun: {console: false}\n", "config.yaml:2: run is set again"),
        ("? [a, b]\n: c\n", "there is no setting '\\?'"),
        ("a: b\n c: [\n", "config.yaml:2: it is not valid YAML: mapping values"),
        ("experiment: !!python/object/apply:os.getcwd []\n", "config.yaml:1: it is not valid YAML"),
        ("metrics: {goals: &a {x: *a}}\n", "not valid YAML: .*recursive"),
        ("experiment: 2020-13-99\n", "not valid YAML"),
        ("experiment: a\n--- \nb: c\n", "not valid YAML: but found another document"),
        ("experiment: \x01\n", "not valid YAML"),
        (b"\nexperiment: \xff\xfe\n", "config.yaml:2: it is not UTF-8 text"),
        ("[" * 60_000, "nested too deeply"),
        ("- " * 60_000, "nested too deeply"),
        ("#" * ((1 << 20) + 1), "larger than 1 MB"),
    ],
)
def test_a_mistake_in_the_file(repo: Repo, text: str | bytes, said: str) -> None:
    repo.write(SETTINGS_FILE, text)
    message = mistakes(repo)
    assert re.search(said, message), message
    assert message.startswith(".gittrack/config.yaml")


def test_all_mistakes_are_reported_together(repo: Repo) -> None:
    repo.write(SETTINGS_FILE, "foo: 1\nrun: {console: 7, alow_dirty: all}\n")
    repo.git("config", "gittrack.run.consol", "true")
    lines = mistakes(repo, {"GITTRACK_EXPERIMNT": "x", "GITTRACK_RUN_CONSOLE": "x"}).splitlines()
    assert lines[0] == "the settings hold 6 mistakes:"
    places = [line.strip().split(": ")[0] for line in lines[1:]]
    assert places == [
        ".gittrack/config.yaml:1",
        ".gittrack/config.yaml:2",
        ".gittrack/config.yaml:2",
        "git config gittrack.run.consol",
        "GITTRACK_EXPERIMNT",
        "GITTRACK_RUN_CONSOLE",
    ]
    assert "did you mean GITTRACK_EXPERIMENT?" in lines[5]
    assert "did you mean gittrack.run.console?" in lines[4]


def test_a_settings_file_that_is_a_folder(repo: Repo) -> None:
    (repo.path / SETTINGS_FILE).mkdir(parents=True)
    assert "cannot be read" in mistakes(repo)


def test_a_file_that_says_nothing(repo: Repo) -> None:
    for text in ("", "# only a comment\n", "null\n", "run:\n", "\ufeffexperiment:\n"):
        assert load_text(repo, text) == load(repo)


# --- the template


def test_the_template_says_the_defaults(repo: Repo) -> None:
    defaults = load(repo)
    assert load_text(repo, TEMPLATE) == defaults
    # What begins with '#' and no single space is a setting.
    uncommented = re.sub(r"(?m)^#(?! [^ ])", "", TEMPLATE)
    settings = load_text(repo, uncommented)
    assert set(settings.origins) == {setting.key for setting in SCHEMA}
    for name in ("experiment", "run", "params", "metrics", "environment"):
        assert getattr(settings, name) == getattr(defaults, name)


def test_every_setting_has_a_sentence() -> None:
    for setting in SCHEMA:
        assert setting.doc[0].isupper(), setting.key
        assert setting.variable.removeprefix("GITTRACK_").isupper()


def test_a_goal_that_contradicts_itself_in_a_variable(repo: Repo) -> None:
    for text in ("{a: min, a: max}", "{a: {goal: max, goal: min}}"):
        with pytest.raises(SettingsError, match=r"GITTRACK_METRICS_GOALS: metrics.goals says '(a|goal)' twice"):
            load(repo, {"GITTRACK_METRICS_GOALS": text})
