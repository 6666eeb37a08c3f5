"""Annotated tags and signatures, made and checked by the git program with the user's own settings (gpg, ssh, x509)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gittrack.errors import NotSigned
from gittrack.git.objects import Signature, identity_bytes
from gittrack.git.repository import Repository
from gittrack.values import dataclass

_SSH_GOOD = re.compile(r'Good "git" signature for (?P<who>\S+) with \S+ key (?P<key>\S+)')
_SSH_KEY = re.compile(r'Good "git" signature with \S+ key (?P<key>\S+)')
_GPG_GOOD = re.compile(r"^\[GNUPG:\] GOODSIG \S+ (?P<who>.*)$", re.MULTILINE)
_GPG_VALID = re.compile(r"^\[GNUPG:\] VALIDSIG (?P<key>\S+).*?(?P<primary>\S+)$", re.MULTILINE)
# Where the signature of a tag object begins (gitformat-signature(5)).
SIGNATURE = re.compile(rb"\n-----BEGIN (PGP SIGNATURE|SSH SIGNATURE|SIGNED MESSAGE)-----\n")
_SETTINGS = ("gpg.", "user.signingkey")


@dataclass(frozen=True, slots=True)
class Checked:
    """What git says of a signature: `good` when it holds, `signer` and `keys` (fingerprints) as far as they are known."""

    good: bool
    signer: str = ""
    keys: tuple[str, ...] = ()
    said: str = ""

    @property
    def email(self) -> str:
        """The signer's address: an ssh principal is one already, an OpenPGP user id has it in angle brackets."""
        return (self.signer.rpartition("<")[2].rstrip(">") if "<" in self.signer else self.signer).strip().lower()


def sign_tag(repository: Repository, *, target: str, name: str, tagger: Signature, message: str) -> str:
    """Write a signed tag object, without a ref here, and return its id; raises NotSigned."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gittrack-tag-") as folder:
        scratch = _scratch(repository, Path(folder))
        text = scratch / "message"
        text.write_bytes(message.encode("utf-8", "surrogateescape"))
        identity, _, email = identity_bytes(tagger).decode("utf-8", "surrogateescape").rpartition(" <")
        sign, minutes = "-" if tagger.zone < 0 else "+", abs(tagger.zone) // 60
        env = {
            "GIT_DIR": str(scratch),
            "GIT_OBJECT_DIRECTORY": str(repository.common_dir / "objects"),
            "GIT_COMMITTER_NAME": identity,
            "GIT_COMMITTER_EMAIL": email.rstrip(">"),
            "GIT_COMMITTER_DATE": f"{tagger.time} {sign}{minutes // 60:02}{minutes % 60:02}",
        }
        done = repository.run(
            *_configured(repository),
            "tag",
            "-s",
            "--cleanup=verbatim",
            "-F",
            str(text),
            name,
            target,
            env=env,
            check=False,
        )
        found = repository.run("rev-parse", "--verify", "--quiet", f"refs/tags/{name}", env=env, check=False)
        object_id = found.stdout.decode("ascii").strip()
        # git 2.39 says nothing and makes a tag without a signature where the ssh key cannot be read.
        if done.returncode != 0 or not object_id or not SIGNATURE.search(repository.read_object(object_id, "tag")):
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise NotSigned(
                f"git could not sign the tag {name} ({said[-1] if said else 'it said nothing'}); see user.signingKey and "
                "gpg.format in git's settings"
            )
        return object_id


def _scratch(repository: Repository, folder: Path) -> Path:
    """A repository of one tag, whose objects are those of the real one."""
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    version, extra = (1, "[extensions]\n\tobjectformat = sha256\n") if repository.object_format == "sha256" else (0, "")
    (folder / "config").write_text(f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extra}")
    return folder


def _configured(repository: Repository) -> Iterator[str]:
    """How this repository signs, said again for the scratch one; a setting may depend on where the repository lies."""
    for key, values in repository.config.items():
        if key.lower().startswith(_SETTINGS):
            yield from ("-c", f"{key}={values[-1]}")


def check_signature(repository: Repository, object_id: str, kind: str, *, signers: bytes | None = None) -> Checked:
    """The signature of a `tag` or `commit`; `signers` is an allowed-signers file (ssh-keygen(1)) to go by, else the user's own."""
    with _signers_file(signers) as options:
        done = repository.run(*options, f"verify-{kind}", "--raw", object_id, check=False)
    said = done.stderr.decode("utf-8", "replace")
    good = done.returncode == 0
    lines = [one for one in said.splitlines() if one.strip() and not one.startswith("[GNUPG:]")]
    first = next((one for one in lines if "error" in one or "signature" in one.lower()), lines[0] if lines else "")
    if found := _SSH_GOOD.search(said):
        return Checked(good, found["who"], (found["key"],), first)
    if found := _SSH_KEY.search(said):
        return Checked(False, "", (found["key"],), "it is signed by a key that no allowed-signers file knows")
    if (who := _GPG_GOOD.search(said)) and (key := _GPG_VALID.search(said)):
        return Checked(good, who["who"], (key["key"], key["primary"]), first)
    if not said.strip() or "no signature found" in said:
        return Checked(False, said="it is not signed")
    return Checked(False, said=first or "its signature does not hold")


@contextmanager
def _signers_file(signers: bytes | None) -> Iterator[tuple[str, ...]]:
    if signers is None:
        yield ()
        return
    import tempfile

    handle, path = tempfile.mkstemp(prefix="gittrack-signers-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(signers)
        yield ("-c", f"gpg.ssh.allowedSignersFile={path}")
    finally:
        os.unlink(path)
