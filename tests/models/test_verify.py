"""The chain from the tag to the bytes: whole it holds, and each link that somebody broke is named."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gittrack.errors import CorruptRecord
from gittrack.git.repository import Repository
from tests.models.conftest import Shop, become, sign_with_ssh, ssh_key


def broken(shop: Shop, version: str = "digits@v1") -> tuple[str, str]:
    """The link that does not hold, and what is said of it."""
    result = shop("model", "verify", version, code=1)
    last = result.stdout.splitlines()[-1]
    assert last.startswith("no ")
    word, _, said = last.removeprefix("no ").partition(" ")
    assert f"{word} does not hold: {said.strip()}" in result.stderr
    return word, said.strip()


def test_all_of_it_holds(shop: Shop) -> None:
    shop.policy("[clean, acc >= 0.5]")
    shop.registered("net", metrics=[0.9])
    shop("promote", "digits@v1", "production")
    links = shop.json("model", "verify", "digits@production")
    assert [one["link"] for one in links["links"]] == ["tag", "signer", "policy", "run", "code", "environment", "data"]
    assert links["ok"]
    assert "2 rules hold" in links["links"][2]["said"]


def test_a_tampered_tag(shop: Shop) -> None:
    shop.registered("net", "other")
    body = shop.repo.git("cat-file", "tag", "digits@v1.0.0").replace(
        shop.project.get_run("net").id, shop.project.get_run("other").id
    )
    forged = shop.repo.git("hash-object", "-t", "tag", "-w", "--stdin", input=f"{body}\n")
    shop.repo.git("update-ref", "refs/tags/digits@v1.0.0", forged)
    assert broken(shop)[0] == "tag"
    assert "event 1 of digits is another one: somebody made this tag anew" in broken(shop)[1]
    # Number and tag alike: the event after it gives it away.
    shop.repo.git("update-ref", "refs/gittrack/seq/digits/1", forged)
    assert "it does not follow event 1 that is here" in broken(shop)[1]
    shop.repo.git("update-ref", "-d", "refs/gittrack/seq/digits/2")
    shop.repo.git("tag", "--delete", "digits@v2.0.0")
    word, said = broken(shop)
    assert word == "run"
    assert "one of the two was rewritten" in said


def test_a_moved_and_a_deleted_tag(shop: Shop) -> None:
    shop.registered("net", "other")
    shop.repo.git("update-ref", "refs/tags/digits@v1.0.0", shop.repo.git("rev-parse", "refs/tags/digits@v2.0.0"))
    assert broken(shop) == ("tag", "refs/tags/digits@v1.0.0: it holds the tag digits@v2.0.0: somebody moved it")
    shop.repo.git("tag", "--delete", "digits@v1.0.0")
    assert broken(shop) == ("tag", "refs/tags/digits@v1.0.0: the tag of event 1 of digits is gone")


@pytest.mark.parametrize("format", ["ssh", "gpg"])
def test_signatures_and_a_wrong_signer(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    become(shop.repo, "Jane")
    keys = {name: ssh_key(tmp_path, name) for name in ("jane", "eve")} if format == "ssh" else {}
    if format == "ssh":
        known = "".join(f"{name}@example.org {key.with_suffix('.pub').read_text()}" for name, key in keys.items())
        shop.repo.write(".gittrack/allowed_signers", known)
    else:
        if shutil.which("gpg") is None:
            pytest.skip("gpg is not installed")
        home = tmp_path / "gpg"
        home.mkdir(mode=0o700)
        monkeypatch.setenv("GNUPGHOME", str(home))
        for name in ("jane", "eve"):
            subprocess.run(
                ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "",
                 "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never"],
                check=True, capture_output=True,
            )  # fmt: skip
    shop.settings("registry: {sign: true, signers: [jane@example.org]}")

    def sign_as(name: str) -> None:
        if format == "ssh":
            sign_with_ssh(shop.repo, keys[name])
        else:
            shop.repo.git("config", "user.signingKey", f"{name}@example.org")

    sign_as("jane")
    shop.registered("net")
    assert "signed by " in shop.out("model", "verify", "digits@v1")
    if format == "gpg":
        shop.repo.git("verify-tag", "digits@v1.0.0")
    sign_as("eve")
    become(shop.repo, "Eve")
    assert "your signature would not count" in shop.error("promote", "digits@v1", "production", code=1)
    # As by a gittrack that does not look.
    monkeypatch.setattr("gittrack.models.registrar.Registrar._check_signed", lambda *rest: None)
    shop("promote", "digits@v1", "production")
    word, said = broken(shop)
    assert word == "signer"
    assert "who is none of registry.signers" in said
    if format == "gpg":
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def test_an_unsigned_tag_where_all_are_to_be_signed(shop: Shop) -> None:
    shop.registered("net")
    shop.settings("registry: {sign: true}")
    assert broken(shop) == ("signer", "event 1 (digits@v1.0.0): it is not signed")


def test_swapped_bytes(shop: Shop) -> None:
    shop("init")
    shop.repo.commit()
    shop.trained("net", data=b"x" * 100_000)
    shop("model", "register", "digits", "net")
    found = shop.project.models.version("digits@v1")
    places = [path for path in shop.repo.path.rglob(found.artifact.md5[2:]) if path.is_file()]
    assert places
    for path in places:
        path.chmod(0o644)
        path.write_bytes(b"y" * 100_000)
    word, said = broken(shop)
    assert word == "data"
    assert "are not those that were registered" in said
    with pytest.raises(CorruptRecord, match="is not loaded, for data does not hold"):
        found.load()
    for path in places:
        path.unlink()
    assert broken(shop)[1].endswith("its bytes are not here, so nobody can tell; 'gittrack pull' gets them")


def test_a_run_that_was_rewritten(shop: Shop) -> None:
    run = shop.trained("net", {"acc": 0.5})
    shop("model", "register", "digits", "net")
    commit = str(shop.project.get_run("net").commit)
    body = shop.repo.git("cat-file", "commit", commit).replace('"acc":0.5', '"acc":0.9')
    forged = shop.repo.git("hash-object", "-t", "commit", "-w", "--stdin", input=f"{body}\n")
    assert forged != commit
    ref = next(one for one in shop.repo.git("for-each-ref", "--format=%(refname)").splitlines() if one.endswith(run))
    shop.repo.git("update-ref", ref, forged)
    word, said = broken(shop)
    assert word == "run"
    assert "one of the two was rewritten" in said


def test_a_policy_that_was_never_on_the_default_branch(shop: Shop) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("net", metrics=[0.5])
    first = shop.repo.git("rev-parse", "HEAD")
    easy = shop.policy("[acc >= 0.1]")
    shop("promote", "digits@v1", "production")
    shop.repo.git("reset", "--quiet", "--hard", first)
    assert broken(shop) == (
        "policy",
        f"the policy that let it into production, of commit {easy[:12]}, was never on main",
    )


def test_a_rule_that_did_not_hold_when_it_was_let_in(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("net", metrics=[0.5])
    # Somebody whose gittrack passes over it without a word.
    monkeypatch.setattr("gittrack.models.registrar.pass_gate", lambda checks, *rest: checks)
    shop("promote", "digits@v1", "production")
    assert broken(shop) == ("policy", "acc >= 0.9: acc is 0.5")
    monkeypatch.setattr("gittrack.models.registrar.Registrar._checks", lambda *rest: ())
    shop("promote", "digits@v1", "staging")
    shop("promote", "digits@v1", "production")
    assert broken(shop) == ("policy", "nobody looked at the rule 'acc >= 0.9' when it was let into production")


def test_other_files_than_the_code_that_ran(shop: Shop) -> None:
    shop.registered("net")
    event = shop.project.models.get("digits").events[0]
    repository = Repository.discover(shop.repo.path)
    shop.repo.write("train.py", "print('something else')\n")
    shop.repo.git("add", "--all")
    tree = shop.repo.git("write-tree")
    line = shop.repo.git("cat-file", "commit", event.commit).replace(
        shop.repo.git("rev-parse", f"{event.commit}^{{tree}}"),
        shop.repo.git("mktree", input=_with_folder(shop, tree, event.commit)),
    )
    forged = shop.repo.git("hash-object", "-t", "commit", "-w", "--stdin", input=f"{line}\n")
    body = shop.repo.git("cat-file", "tag", event.object).replace(event.commit, forged)
    made = shop.repo.git("hash-object", "-t", "tag", "-w", "--stdin", input=f"{body}\n")
    for ref in ("refs/tags/digits@v1.0.0", "refs/gittrack/seq/digits/1"):
        shop.repo.git("update-ref", ref, made)
    ref = next(one for one in repository.list_refs("refs/experiments/") if one.endswith(event.run))
    shop.repo.git("update-ref", ref, forged)
    word, said = broken(shop)
    assert word == "code"
    assert "are not those of the code that ran" in said


def _with_folder(shop: Shop, tree: str, commit: str) -> str:
    """The entries of a tree, and those that the run has beside its code."""
    ours = [one for one in shop.repo.git("ls-tree", commit).splitlines() if one.endswith(("\t.gittrack", "\tdvc.yaml"))]
    return "\n".join([*ours, *shop.repo.git("ls-tree", tree).splitlines()]) + "\n"


def test_what_held_once_holds_for_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.policy(
        "[clean, pushed, acc >= 0.5, {from: staging}, {people: jane@example.org}, {approvals: 1}, {soak: 1h}, {run: exit 0}]"
    )
    become(shop.repo, "Jane")
    shop.registered("net", metrics=[0.9])
    shop("promote", "digits@v1", "staging")
    become(shop.repo, "Joe")
    shop("model", "approve", "digits@v1")
    become(shop.repo, "Jane")
    # Two hours pass.
    later = time.time() + 7200
    monkeypatch.setattr("gittrack.capture.identity.time.time", lambda: later)
    shop("promote", "digits@v1", "production")
    # Since then the version left staging, the policy became another one, and somebody else looks.
    shop.policy("[acc >= 0.99]")
    become(shop.repo, "Eve")
    monkeypatch.undo()
    monkeypatch.chdir(shop.repo.path)
    assert "production: 8 rules hold" in shop.out("model", "verify", "digits@v1")


def test_swapped_bytes_outside_of_dvcs_cache(shop: Shop) -> None:
    shop.trained("net", data=b"x" * 100_000)
    shop("model", "register", "digits", "net")
    shop("model", "verify", "digits@v1")
    made = shop.project.models.version("digits@v1").artifact
    (place,) = (shop.repo.path / ".git" / "gittrack").rglob(made.md5[2:])
    place.chmod(0o644)
    place.write_bytes(b"y" * 100_000)
    word, said = broken(shop)
    assert word == "data"
    assert "are not those that were registered" in said


@pytest.mark.parametrize("how", ["gone", "another"])
def test_an_approval_that_was_taken_away_or_replaced(shop: Shop, how: str) -> None:
    become(shop.repo, "Jane")
    shop.registered("net", "other")
    become(shop.repo, "Joe")
    shop("model", "approve", "digits@v1")
    shop("model", "alias", "set", "digits@v1", "champion")
    ref = "refs/gittrack/seq/digits/3"
    if how == "gone":
        shop.repo.git("update-ref", "-d", ref)
        assert broken(shop) == ("tag", "refs/gittrack/seq/digits/4: event 3 of digits is missing before it")
    else:
        shop.repo.git("update-ref", ref, shop.repo.git("rev-parse", "refs/gittrack/seq/digits/4"))
        assert broken(shop) == ("tag", f"{ref}: it holds event 4 of digits: somebody moved it")


def test_an_override_that_the_policy_did_not_allow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.policy("[acc >= 0.9]")
    shop.registered("net", metrics=[0.5])
    # Somebody whose gittrack takes any reason.
    monkeypatch.setattr(
        "gittrack.models.registrar.pass_gate",
        lambda checks, *rest: tuple(replace(one, override="I say so") for one in checks),
    )
    shop("promote", "digits@v1", "production")
    passed = "Test Author <author@example.org> passed over 'acc >= 0.9', which that policy lets nobody do"
    assert broken(shop) == ("policy", passed)


def test_a_run_of_which_the_objects_are_gone(shop: Shop) -> None:
    run = shop.trained("net", artifact="weights")
    shop("model", "register", "digits", "net")
    commit = str(shop.project.get_run("net").commit)
    ref = next(one for one in shop.repo.git("for-each-ref", "--format=%(refname)").splitlines() if one.endswith(run))
    shop.repo.git("update-ref", "-d", ref)
    # The tag's own commit still leads to it.
    assert shop.json("model", "verify", "digits@v1")["ok"]
    (shop.repo.path / ".git" / "objects" / commit[:2] / commit[2:]).unlink()
    registered = shop.project.models.get("digits").events[0].commit
    assert broken(shop) == ("run", f"commit {registered[:12]}, which the tag names, is no run and stands on none")
