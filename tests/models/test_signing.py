"""Signatures that git makes with the user's own settings: when they are made, by whom they count, and where that is said."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gittrack.git.repository import Repository
from gittrack.git.tags import check_signature
from tests.models.conftest import Shop, become, sign_with_ssh, ssh_key

SIGNED = "registry: {sign: true, stages: {production: {policy: [signed]}}}"


@pytest.fixture
def keyring(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An OpenPGP home with a key of Jane's and one of Eve's; its path is short, for a socket lies in it."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    for name in ("jane", "eve"):
        gpg("--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
    yield home
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def gpg(*args: str) -> str:
    command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fingerprint_of(key: Path) -> str:
    done = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], check=True, capture_output=True, text=True)
    return done.stdout.split()[1]


def allow(shop: Shop, *keys: Path, names: str = "{}@example.org") -> None:
    """Commit an allowed-signers file on the branch that is checked out."""
    lines = [f"{names.format(key.name)} {key.with_suffix('.pub').read_text()}" for key in keys]
    shop.repo.write(".gittrack/allowed_signers", "".join(lines))
    shop.repo.commit("Say who may sign")


@pytest.fixture
def jane(shop: Shop, tmp_path: Path) -> Path:
    """Jane signs with a key that the default branch knows."""
    key = ssh_key(tmp_path, "jane")
    allow(shop, key)
    sign_with_ssh(shop.repo, key)
    become(shop.repo, "Jane")
    return key


def test_gpg_signs_and_is_checked_by_git_itself(shop: Shop, keyring: Path) -> None:
    become(shop.repo, "Jane")
    shop.repo.git("config", "user.signingKey", "jane@example.org")
    shop.settings(SIGNED)
    shop.registered("net")
    shop.repo.git("verify-tag", "digits@v1.0.0")
    assert "signed: its registration by jane <jane@example.org>" in shop.out("promote", "digits@v1", "production")
    assert "signed by jane <jane@example.org>" in shop.out("model", "verify", "digits@production")
    assert [one["signed"] for one in shop.json("model", "history", "digits")] == [True, True]
    # In one's own keyring there is the key of somebody else, who is not Jane.
    shop.repo.git("config", "user.signingKey", "eve@example.org")
    said = shop.error("model", "demote", "digits@v1", code=1)
    assert "it says that it is by jane@example.org, and eve@example.org signed it" in said
    listed = gpg("--list-keys", "--with-colons", "jane@example.org").splitlines()
    key = next(line.split(":")[9] for line in listed if line.startswith("fpr"))
    shop.settings(f"registry: {{sign: true, signers: [{key}], stages: {{production: {{policy: [signed]}}}}}}")
    assert shop.json("model", "verify", "digits@production")["ok"]
    # Who has not the key cannot tell.
    gpg("--yes", "--delete-secret-and-public-key", key)
    links = json_of_broken(shop, "digits@v1")
    assert (links[-1]["link"], links[-1]["ok"]) == ("signer", False)


def json_of_broken(shop: Shop, version: str) -> list[dict[str, object]]:
    import orjson

    found: list[dict[str, object]] = orjson.loads(shop("model", "verify", version, "--json", code=1).stdout)["links"]
    return found


def test_who_signs_all_of_their_tags_signs_these_too(shop: Shop, jane: Path) -> None:
    shop.registered("before")
    shop.repo.git("config", "tag.gpgSign", "true")
    shop.registered("after")
    assert [one["signed"] for one in shop.json("model", "history", "digits")] == [True, False]
    assert "nothing is signed" in shop.out("model", "verify", "digits@v1")
    assert "signed by jane@example.org" in shop.out("model", "verify", "digits@v2")


def test_the_allowed_signers_of_the_default_branch_count(shop: Shop, jane: Path, tmp_path: Path) -> None:
    shop.settings(SIGNED)
    shop.registered("net")
    # Neither those of the worktree, nor of another branch, nor the user's own.
    eve = ssh_key(tmp_path, "eve")
    shop.repo.git("checkout", "--quiet", "-b", "mine")
    allow(shop, eve)
    own = tmp_path / "own_signers"
    own.write_text(f"jane@example.org {eve.with_suffix('.pub').read_text()}")
    shop.repo.git("config", "gpg.ssh.allowedSignersFile", str(own))
    assert "signed: its registration by jane@example.org" in shop.out("promote", "digits@v1", "production")
    sign_with_ssh(shop.repo, eve)
    said = shop.error("model", "demote", "digits@v1", code=1)
    assert "your signature would not count: it is signed by a key that no allowed-signers file knows" in said
    sign_with_ssh(shop.repo, jane)
    shop.repo.git("checkout", "--quiet", "main")
    allow(shop, eve)
    links = json_of_broken(shop, "digits@v1")
    assert links[-1]["said"] == "event 1 (digits@v1.0.0): it is signed by a key that no allowed-signers file knows"


def test_without_such_a_file_that_of_the_user_is_asked(shop: Shop, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "jane")
    sign_with_ssh(shop.repo, key)
    become(shop.repo, "Jane")
    shop.settings(SIGNED)
    shop.trained("net")
    assert "your signature would not count" in shop.error("model", "register", "digits", "net", code=1)
    own = tmp_path / "own_signers"
    own.write_text(f"jane@example.org {key.with_suffix('.pub').read_text()}")
    shop.repo.git("config", "gpg.ssh.allowedSignersFile", str(own))
    shop("model", "register", "digits", "net")
    assert shop.json("model", "verify", "digits@v1")["ok"]


def test_signers_are_known_by_address_or_key(shop: Shop, jane: Path, tmp_path: Path) -> None:
    eve = ssh_key(tmp_path, "eve")
    allow(shop, jane, eve)
    shop.settings(f"registry: {{sign: true, signers: ['{fingerprint_of(jane)}']}}")
    shop.registered("net")
    assert shop.json("model", "verify", "digits@v1")["ok"]
    for signers, good in (("JANE@example.org", True), ("eve@example.org", False), (fingerprint_of(eve), False)):
        shop.settings(f"registry: {{sign: true, signers: ['{signers}']}}")
        shop("model", "verify", "digits@v1", code=0 if good else 1)
    said = json_of_broken(shop, "digits@v1")[-1]["said"]
    assert said == "event 1 (digits@v1.0.0): it is signed by jane@example.org, who is none of registry.signers"


def test_a_key_with_two_addresses(shop: Shop, jane: Path) -> None:
    allow(shop, jane, names="{0}@example.org,{0}@work.org")
    shop.settings("registry: {sign: true, signers: [jane@example.org]}")
    shop.registered("net")
    assert shop.json("model", "verify", "digits@v1")["ok"]


def test_only_approvals_that_are_signed_count(shop: Shop, jane: Path, tmp_path: Path) -> None:
    joe = ssh_key(tmp_path, "joe")
    allow(shop, jane, joe)
    shop.settings("registry: {stages: {production: {policy: [{approvals: 1}]}}}")
    shop.registered("net")
    become(shop.repo, "Joe")
    shop("model", "approve", "digits@v1")
    become(shop.repo, "Kim")
    shop.repo.git("config", "tag.gpgSign", "true")
    sign_with_ssh(shop.repo, jane)
    # Jane's key, and a name that is not hers.
    shop("model", "approve", "digits@v1")
    shop.settings("registry: {sign: true, stages: {production: {policy: [{approvals: 1}]}}}")
    become(shop.repo, "Jane")
    assert "approvals: 1: 0 of 1; others" in shop.error("promote", "digits@v1", "production", code=4)
    become(shop.repo, "Joe")
    sign_with_ssh(shop.repo, joe)
    assert "has approved digits@v1 already" in shop.error("model", "approve", "digits@v1", code=2)


def test_without_a_key_nothing_is_said_in_ones_name(shop: Shop, jane: Path, tmp_path: Path) -> None:
    shop.settings(SIGNED)
    shop.trained("net")
    before = shop.repo.git("for-each-ref")
    sign_with_ssh(shop.repo, tmp_path / "none")
    said = shop.error("model", "register", "digits", "net", code=1)
    assert "git could not sign the tag digits@v1.0.0 (" in said
    assert "see user.signingKey and gpg.format in git's settings" in said
    assert shop.repo.git("for-each-ref") == before


def test_a_signed_tag_of_which_one_letter_was_changed(shop: Shop, jane: Path) -> None:
    shop.settings(SIGNED)
    shop.registered("net")
    event = shop.project.models.get("digits").events[0]
    body = shop.repo.git("cat-file", "tag", event.object).replace('"nonce":"', '"nonce":"0')
    forged = shop.repo.git("hash-object", "-t", "tag", "-w", "--stdin", input=f"{body}\n")
    for ref in ("refs/tags/digits@v1.0.0", "refs/gittrack/seq/digits/1"):
        shop.repo.git("update-ref", ref, forged)
    signers = (shop.repo.path / ".gittrack" / "allowed_signers").read_bytes()
    assert not check_signature(Repository.discover(shop.repo.path), forged, "tag", signers=signers).good
    links = json_of_broken(shop, "digits@v1")
    assert [(one["link"], one["ok"]) for one in links] == [("tag", True), ("signer", False)]
    assert "signed" in shop.error("promote", "digits@v1", "production", code=4)
