"""Which writer this clone is: the owner of one ledger, to which nobody else adds."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gittrack.errors import SettingsError
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.ledger.notes import Relay

VARIABLE = "GITTRACK_WRITER"
_SETTING = "gittrack.writer"
# A part of a ref's name, and nothing that a file system or a shell reads otherwise.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


# A ledger of this name is a part of others, made for a bundle (docs/formats/bundle.md).
_PART = layout.PART[len(layout.LEDGERS) :]


class Writer(NamedTuple):
    """`given` says that a person chose the name: several clones may then share it, one after the other."""

    name: str
    given: bool


def current_writer(repository: Repository, environ: Mapping[str, str]) -> Writer:
    """From GITTRACK_WRITER, from git's `gittrack.writer`, or one of this clone alone, made when first asked for.

    A copy of a clone is another clone, and gets a name of its own. Raises SettingsError, OSError.
    """
    for place, given in ((VARIABLE, environ.get(VARIABLE)), (_SETTING, repository.setting(_SETTING))):
        if given:
            if not is_writer(given):
                raise SettingsError(
                    f"{place} is {given!r}, and a writer's name has at most 64 letters, digits, '-' or '_', and does not "
                    f"begin with {_PART}; choose another"
                )
            return Writer(given, True)
    return Writer(_own(repository), False)


def is_writer(name: str) -> bool:
    """Whether somebody can be called that."""
    return _NAME.fullmatch(name) is not None and not name.startswith(_PART)


def renew_writer(repository: Repository) -> Writer:
    """Another name for this clone: somebody else writes under the one that it had."""
    _path(repository).unlink(missing_ok=True)
    return Writer(_own(repository), False)


def _path(repository: Repository) -> Path:
    return repository.home / "writer"


def _own(repository: Repository) -> str:
    path, mark = _path(repository), _mark(repository)
    for _ in range(10):
        try:
            name, _, known = path.read_text(encoding="ascii").strip().partition(" ")
            if known == mark and _NAME.fullmatch(name):
                return name
            # Copied, restored or moved to another disk: what it was copied from may go on writing, or be gone for good.
            if is_writer(name):
                Relay(repository).note([name])
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except UnicodeDecodeError:
            path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(f"writer.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        fresh.write_text(f"{secrets.token_hex(6)} {mark}\n", encoding="ascii")
        try:
            # Of two that come at once one wins, and both read its name.
            os.link(fresh, path)
        except FileExistsError:
            pass
        except OSError:
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
    raise OSError(f"{path} changes faster than it can be read")


def _mark(repository: Repository) -> str:
    """What a copy of a repository does not share with it; device numbers may change when the machine starts again."""
    return f"{os.stat(repository.common_dir).st_ino:x}"
