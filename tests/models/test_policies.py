"""Every rule of a stage in a real repository: a version that it lets in, and one that it refuses, with the sentence."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.models.conftest import Shop, become, sign_with_ssh, ssh_key

NO = "gittrack: the policy does not let digits@{} into production: {}: "


def refused(shop: Shop, version: str, rule: str) -> str:
    """What is said of the rule that does not let a version in; nothing may have changed."""
    before = shop.repo.git("for-each-ref")
    said = shop.error("promote", f"digits@{version}", "production", code=4)
    assert shop.repo.git("for-each-ref") == before
    start = NO.format(version, rule)
    assert said.startswith(start), said
    return said.removeprefix(start).partition("\n")[0]


def let_in(shop: Shop, version: str = "v1") -> str:
    return shop.out("promote", f"digits@{version}", "production")


def test_clean(shop: Shop) -> None:
    shop.policy("[clean]")
    shop.registered("tidy")
    shop.repo.write("train.py", "print('changed')\n")
    shop.trained("untidy", allow_dirty="tracked")
    shop("model", "register", "digits", "untidy")
    assert "with nothing uncommitted" in let_in(shop, "v1")
    assert refused(shop, "v2", "clean") == "run untidy ran on a dirty tree, as a snapshot; commit, and record it again"


def test_pushed(shop: Shop, tmp_path: Path) -> None:
    shop("init")
    shop.repo.write(
        ".dvc/config", f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n"
    )
    shop.repo.commit()
    shop.policy("[pushed]")
    shop.trained("net", data=b"x" * 100_000)
    shop("model", "register", "digits", "net")
    assert "nobody can tell whether its data are where others can get them: the folder" in refused(shop, "v1", "pushed")
    (tmp_path / "store" / "gittrack").mkdir(parents=True)
    assert refused(shop, "v1", "pushed") == "1 object of its data is not on gittrack; 'gittrack push' sends them"
    shop.repo.git("init", "--quiet", "--bare", str(tmp_path / "host.git"))
    shop.repo.git("remote", "add", "origin", str(tmp_path / "host.git"))
    shop("push")
    assert "pushed: all of its data are where others can get them" in let_in(shop)


def test_a_threshold(shop: Shop) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("good", "bad", metrics=[0.95, 0.85])
    assert "acc >= 0.9: acc is 0.95" in let_in(shop)
    assert refused(shop, "v2", "acc >= 0.9") == "acc is 0.85"


def test_better_needs_a_goal_and_says_what_one_run_each_can_carry(shop: Shop) -> None:
    shop.policy("[{better: acc}]")
    shop.registered("first", "worse", "better", metrics=[0.90, 0.89, 0.91])
    assert "nobody holds production yet" in let_in(shop)
    assert "set metrics.goals" in refused(shop, "v2", "better: acc")
    shop.policy("[{better: acc}]", "metrics: {goals: {acc: {goal: max, min_change: 0.005}}}")
    assert refused(shop, "v2", "better: acc") == "acc is 0.89 against 0.9 of v1, and 0.005 is the least that counts"
    assert "acc is 0.91 against 0.9 of v1; with one run of either that is what was measured" in let_in(shop, "v3")


def test_better_asks_the_repeats_where_there_are_some(shop: Shop) -> None:
    shop.policy("[{better: loss}]", "metrics: {goals: {loss: min}}")
    for name, values in {"old": (1.0, 1.1, 0.9), "noisy": (0.2, 1.4, 1.3), "new": (0.4, 0.5, 0.45)}.items():
        for seed, value in enumerate(values):
            shop.trained(f"{name}-{seed}", {"loss": value}, params={"kind": name, "seed": seed})
        shop("model", "register", "digits", f"{name}-0")
    let_in(shop)
    said = refused(shop, "v2", "better: loss")
    assert re.fullmatch(
        r"loss is 0.966667 \(mean of 3\) against 1 \(mean of 3\) of v1, which may be chance \(paired t, p = 0.47\); .*",
        said,
    )
    assert re.search(
        r"loss is 0.45 \(mean of 3\) against 1 \(mean of 3\) of v1 \(paired t, p = 0.0\d+\)", let_in(shop, "v3")
    )


def test_better_is_not_fooled_by_one_seed_that_ran_again(shop: Shop) -> None:
    shop.policy("[{better: loss}]", "metrics: {goals: {loss: min}}")
    for name, value in {"old": 1.0, "new": 0.9}.items():
        for at in range(3):
            shop.trained(f"{name}-{at}", {"loss": value}, params={"kind": name})
        shop("model", "register", "digits", f"{name}-0")
    let_in(shop)
    assert "perhaps they are one run made again" in refused(shop, "v2", "better: loss")


def test_better_of_what_is_no_number(shop: Shop) -> None:
    shop.policy("[{better: loss}]", "metrics: {goals: {loss: min}}")
    for name, values in {"old": (1.7e308, 1.6e308), "new": (float("-inf"), float("inf"))}.items():
        for seed, value in enumerate(values):
            shop.trained(f"{name}-{seed}", {"loss": value}, params={"kind": name, "seed": seed})
        shop("model", "register", "digits", f"{name}-0")
    let_in(shop)
    assert "loss is nan (mean of 2)" in refused(shop, "v2", "better: loss")


def test_from(shop: Shop) -> None:
    shop.policy("[{from: [staging]}]")
    shop.registered("net")
    assert refused(shop, "v1", "from: staging") == "it is in no stage, and must be in staging before"
    shop("promote", "digits@v1", "staging")
    assert "from: staging: it is in staging" in let_in(shop)


def test_people(shop: Shop) -> None:
    shop.policy("[{people: ['*@example.org']}]")
    shop.registered("net")
    shop.repo.git("config", "user.email", "eve@elsewhere.org")
    assert refused(shop, "v1", "people: *@example.org") == "eve@elsewhere.org may not; *@example.org may"
    become(shop.repo, "Jane")
    assert "jane@example.org may" in let_in(shop)


def test_approvals_by_others(shop: Shop) -> None:
    shop.policy("[{approvals: 1}]")
    become(shop.repo, "Jane")
    shop.registered("net", "other")
    assert "others than its author approve with 'gittrack model approve digits@v1'" in refused(
        shop, "v1", "approvals: 1"
    )
    assert "nobody approves their own work" in shop.error("model", "approve", "digits@v1", code=2)
    become(shop.repo, "Joe")
    shop("model", "approve", "digits@v2", "--stage", "staging")
    shop("model", "approve", "digits@v1")
    assert "has approved digits@v1 already" in shop.error("model", "approve", "digits@v1", code=2)
    assert refused(shop, "v2", "approvals: 1").startswith("0 of 1;")
    assert "1 of 1 (joe@example.org)" in let_in(shop)


def test_signed_by_somebody_who_counts(shop: Shop, tmp_path: Path) -> None:
    become(shop.repo, "Jane")
    shop.registered("unsigned")
    jane, eve = ssh_key(tmp_path, "jane"), ssh_key(tmp_path, "eve")
    known = "".join(f"{key.name}@example.org {key.with_suffix('.pub').read_text()}" for key in (jane, eve))
    shop.repo.write(".gittrack/allowed_signers", known)
    shop.policy("[{signed: [tags, commits]}]", "")
    shop.settings(
        "registry: {sign: true, signers: [jane@example.org], stages: {production: {policy: [{signed: [tags, commits]}]}}}"
    )
    sign_with_ssh(shop.repo, jane)
    assert refused(shop, "v1", "signed: tags, commits") == "its registration: it is not signed"
    shop.registered("signed tag")
    assert refused(shop, "v2", "signed: tags, commits") == "its code: it is not signed"
    shop.repo.git("commit", "--quiet", "--allow-empty", "-S", "-m", "Signed code")
    shop.registered("signed")
    assert "its registration by jane@example.org; its code by jane@example.org" in let_in(shop, "v3")
    # What would not count is not made, under one's own name or another's.
    sign_with_ssh(shop.repo, eve)
    become(shop.repo, "Eve")
    shop.trained("by eve")
    said = shop.error("model", "register", "digits", "by eve", code=1)
    assert "your signature would not count: it is signed by eve@example.org, who is none of registry.signers" in said
    become(shop.repo, "Jane")
    assert "eve@example.org" in shop.error("model", "register", "digits", "by eve", code=1)
    assert "eve@example.org" in shop.error("model", "demote", "digits@production", code=1)


def test_soak(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.policy("[{soak: 2d}]")
    shop.registered("net")
    assert refused(shop, "v1", "soak: 2d") == "it is in no stage where it could have been tried for 2 days"
    shop("promote", "digits@v1", "staging")
    assert re.fullmatch(r"it has been in staging for \S+ minutes of 2 days", refused(shop, "v1", "soak: 2d"))
    # Two and a half days pass.
    later = time.time() + 2.5 * 86_400
    monkeypatch.setattr("gittrack.capture.identity.time.time", lambda: later)
    assert "it has been in staging for 2.5 days" in let_in(shop)


def test_a_command_of_the_default_branch(shop: Shop) -> None:
    shop.repo.write("smoke.sh", 'echo "$GITTRACK_MODEL $GITTRACK_MODEL_VERSION $GITTRACK_MODEL_STAGE"; exit 3\n')
    shop.policy("[{run: sh smoke.sh}]")
    shop.registered("net")
    # What lies in the worktree is not asked.
    shop.repo.write("smoke.sh", "exit 0\n")
    assert refused(shop, "v1", "run: sh smoke.sh") == "it exits with 3: digits v1.0.0 production"
    shop.repo.commit()
    assert "run: sh smoke.sh: it exits with 0" in let_in(shop)
    assert shop.repo.git("worktree", "list").count("\n") == 0


def test_a_command_may_ask_gittrack(shop: Shop) -> None:
    shop.repo.write("ask.sh", 'python -m gittrack model show "$GITTRACK_MODEL@$GITTRACK_MODEL_VERSION"\n')
    shop.policy("[{run: sh ask.sh}]")
    shop.registered("net")
    assert "run: sh ask.sh: it exits with 0" in let_in(shop)


def test_what_the_default_branch_says_counts(shop: Shop) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("net", metrics=[0.5])
    # Neither the worktree nor the branch that somebody works on nor their own settings.
    shop.repo.git("checkout", "--quiet", "-b", "mine")
    shop.policy("[]")
    shop.repo.git("config", "gittrack.registry.stages", "{production: {policy: []}}")
    assert refused(shop, "v1", "acc >= 0.9") == "acc is 0.5"


def test_a_dry_run_shows_all_and_changes_nothing(shop: Shop) -> None:
    shop.policy("[clean, acc >= 0.9, loss < 1]")
    shop.registered("good", "bad", metrics=[0.95, 0.5])
    before = shop.repo.git("for-each-ref", "refs/tags", "refs/gittrack")
    shown = shop("promote", "digits@v2", "production", "--dry-run", code=4).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["ok", "no", "no", "digits@v2"]
    assert shown[-1] == "digits@v2 would not enter production"
    shop.policy("[clean, acc >= 0.9]")
    assert shop.out("promote", "digits@v1", "production", "--dry-run").endswith("digits@v1 would enter production\n")
    assert shop.repo.git("for-each-ref", "refs/tags", "refs/gittrack") == before


def test_an_override_needs_leave_and_a_reason_and_stays_visible(shop: Shop) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("net", metrics=[0.5])
    said = shop.error("promote", "digits@v1", "production", "--override", "a fire", code=4)
    assert "this stage lets nobody pass over its rules" in said
    shop.settings("registry: {stages: {production: {override: true, policy: [acc >= 0.9]}}}")
    assert "--override REASON passes over it" in shop.error("promote", "digits@v1", "production", code=4)
    assert "needs a reason" in shop.error("promote", "digits@v1", "production", "--override", " ", code=2)
    assert "over acc >= 0.9: acc is 0.5" in shop.out("promote", "digits@v1", "production", "--override", "a fire")
    assert "passed over the rules: a fire" in shop.out("model", "history", "digits")
    assert "over acc >= 0.9: acc is 0.5" in shop.out("model", "show", "digits@production")
    assert "acc >= 0.9 passed over by Test Author: a fire" in shop.out("model", "verify", "digits@v1")


def test_a_rollback_asks_only_who(shop: Shop) -> None:
    shop.registered("one", "two", metrics=[0.5, 0.6])
    for version in ("v1", "v2"):
        let_in(shop, version)
    shop.policy("[acc >= 0.9, {people: [jane@example.org]}]")
    assert "a rollback of production: people" in shop.error("model", "rollback", "digits", "production", code=4)
    become(shop.repo, "Jane")
    shop("model", "rollback", "digits", "production")
    assert shop.json("model", "show", "digits")["stages"] == {"production": ["v1.0.0"]}


def test_a_rollback_that_is_refused_offers_no_way_that_it_has_not(shop: Shop) -> None:
    shop.registered("one", "two")
    for version in ("v1", "v2"):
        let_in(shop, version)
    shop.settings("registry: {stages: {production: {override: true, policy: [{people: [jane@example.org]}]}}}")
    said = shop.error("model", "rollback", "digits", "production", code=4)
    assert "author@example.org may not; jane@example.org may" in said
    assert "--override" not in said


def test_an_override_that_was_not_needed_is_none(shop: Shop) -> None:
    shop.settings("registry: {stages: {production: {override: true, policy: [acc >= 0.1]}}}")
    shop.registered("net", metrics=[0.5])
    (event,) = shop.json("promote", "digits@v1", "production", "--override", "To be sure")["events"]
    assert "override" not in event["details"]
    assert "passed over" not in shop.out("model", "history", "digits")


def test_an_override_names_each_rule_that_it_passes_over(shop: Shop) -> None:
    shop.settings("registry: {stages: {production: {override: true, policy: [acc >= 0.9, clean, loss < 1]}}}")
    shop.registered("net", metrics=[0.5])
    assert "acc is 0.5 (and 1 more); --override REASON" in shop.error("promote", "digits@v1", "production", code=4)
    before = shop.repo.git("for-each-ref")
    tried = shop.json("promote", "digits@v1", "production", "--override", "a fire", "--dry-run")
    assert (tried["events"], shop.repo.git("for-each-ref")) == ([], before)
    done = shop.json("promote", "digits@v1", "production", "--override", "a fire")
    assert done["checks"] == tried["checks"] == done["events"][0]["details"]["checks"]
    assert [one.get("override") for one in done["checks"]] == ["a fire", None, "a fire"]
    assert done["events"][0]["details"]["override"] == "a fire"
    assert "passed over the rules: a fire" in shop.out("model", "history", "digits", "--at", "2100-01-01")


def test_better_than_what_cannot_be_compared(shop: Shop) -> None:
    shop.policy("[{better: acc}]", "metrics: {goals: {acc: max}}")
    shop.registered("held", "no number", metrics=[0.5, float("nan")])
    shop.registered("silent")
    let_in(shop)
    assert refused(shop, "v2", "better: acc") == "acc is nan against 0.5 of v1"
    assert refused(shop, "v3", "better: acc") == "run silent has no metric 'acc'"


def test_two_repeats_of_one_configuration_are_compared_as_two_runs(shop: Shop) -> None:
    shop.policy("[{better: acc}]", "metrics: {goals: {acc: max}}")
    for seed, value in enumerate((0.5, 0.6, 0.4)):
        shop.trained(f"seed-{seed}", {"acc": value}, params={"seed": seed})
        shop("model", "register", "digits", f"seed-{seed}")
    let_in(shop)
    assert refused(shop, "v3", "better: acc") == "acc is 0.4 against 0.5 of v1"
    assert "acc is 0.6 against 0.5 of v1; with one run of either" in let_in(shop, "v2")


def test_nobody_tries_what_is_archived(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.settings("registry: {stages: {shadow: {}, production: {policy: [{soak: 2d}]}}}")
    shop.registered("archived", "tried")
    shop("promote", "digits@v1", "shadow")
    shop("promote", "digits@v1", "archived")
    shop("promote", "digits@v2", "staging")
    shop("promote", "digits@v2", "shadow", "--keep")
    # Three days pass.
    later = time.time() + 3 * 86_400
    monkeypatch.setattr("gittrack.capture.identity.time.time", lambda: later)
    assert refused(shop, "v1", "soak: 2d") == "it is in no stage where it could have been tried for 2 days"
    assert "it has been in shadow for 3 days" in let_in(shop, "v2")


def test_a_command_without_a_word(shop: Shop) -> None:
    shop.policy("[{run: exit 7}]")
    shop.registered("net")
    assert refused(shop, "v1", "run: exit 7") == "it exits with 7"


def test_what_the_commit_of_a_run_says_counts_for_nothing(shop: Shop) -> None:
    shop.policy("[]")
    shop.registered("net", metrics=[0.5])
    shop.policy("[acc >= 0.9]")
    assert "policy: []" in shop.repo.git("show", "digits@v1.0.0:.gittrack/config.yaml")
    assert refused(shop, "v1", "acc >= 0.9") == "acc is 0.5"


def test_a_policy_that_cannot_be_read_lets_nothing_in(shop: Shop) -> None:
    shop.registered("net")
    shop.repo.git("branch", "mine")
    shop.policy("[claen]")
    shop.repo.git("checkout", "--quiet", "mine")
    said = shop.error("promote", "digits@v1", "staging", code=2)
    assert "on the default branch (main), which says what a stage demands, .gittrack/config.yaml:1:" in said
    assert "did you mean clean?" in said
    assert "digits" in shop.out("model", "ls")
