"""Who acts: the name and address that git would write."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from gittrack.git.objects import Signature
from gittrack.git.repository import Repository


def signature(repository: Repository, environ: Mapping[str, str], *, now: float | None = None) -> Signature:
    """Who acts, as git would sign it; without a configured identity the login name: a run must not fail for it."""
    name = environ.get("GIT_AUTHOR_NAME") or repository.setting("author.name") or repository.setting("user.name")
    email = environ.get("GIT_AUTHOR_EMAIL") or repository.setting("author.email") or repository.setting("user.email")
    name, email = _clean(name) or _login(), _clean(email) or f"{_login()}@{os.uname().nodename}"
    seconds = time.time() if now is None else now
    return Signature(f"{name} <{email}>", int(seconds), time.localtime(seconds).tm_gmtoff)


def _clean(text: str | None) -> str:
    return "".join(c for c in text or "" if c not in "<>\n\0").strip()


def _login() -> str:
    try:
        import getpass

        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
