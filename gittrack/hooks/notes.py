"""What `gittrack hooks install` has to remember, in `hooks.json` of our folder in the git folder."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from gittrack.errors import FormatTooNew, RepositoryError
from gittrack.git.repository import Repository
from gittrack.hooks.files import UNDER_WAY, drop, drop_folder, put
from gittrack.values import dataclass

_NAME = "hooks.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Notes:
    """`way` is beside or detour; the folders say which of them was not there.

    Of a detour: `scope` and `former` are where `core.hooksPath` was set and to what, `values` what this clone's own file had,
    `ours` what it has now, `config` the bytes of that file before and after.
    """

    way: str
    home_made: bool = False
    folder_made: bool = False
    scope: str = "local"
    former: str | None = None
    values: tuple[str, ...] = ()
    ours: str | None = None
    config: tuple[bytes, bytes] | None = None


def read_notes(repository: Repository) -> Notes | None:
    """Raises RepositoryError for notes that cannot be read, FormatTooNew."""
    path = repository.home / _NAME
    try:
        found = json.loads(path.read_bytes())
        if found["format"] > _FORMAT:
            raise FormatTooNew(f"{path} was written by a newer gittrack; upgrade this one")
        config = found["config"]
        return Notes(
            way=found["way"],
            home_made=found["home_made"],
            folder_made=found["folder_made"],
            scope=found["scope"],
            former=found["former"],
            values=tuple(found["values"]),
            ours=found["ours"],
            config=None if config is None else (b64decode(config[0]), b64decode(config[1])),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, IndexError):
        raise RepositoryError(f"{path} cannot be read; remove it and run this again") from None


def home_is_ours(repository: Repository) -> bool:
    """Whether nobody but us would miss our folder: it is not there, or only a kill has left it."""
    home = repository.home
    return not home.exists() or {one.name for one in home.iterdir()} <= {_NAME + UNDER_WAY}


def write_notes(repository: Repository, notes: Notes) -> None:
    """Raises OSError. Nobody else may read it: what is in git's configuration may be secret."""
    repository.home.mkdir(exist_ok=True)
    said = {
        "format": _FORMAT,
        "way": notes.way,
        "home_made": notes.home_made,
        "folder_made": notes.folder_made,
        "scope": notes.scope,
        "former": notes.former,
        "values": list(notes.values),
        "ours": notes.ours,
        "config": None if notes.config is None else [b64encode(one).decode("ascii") for one in notes.config],
    }
    put(repository.home / _NAME, json.dumps(said).encode("ascii"), 0o600)


def drop_notes(repository: Repository, notes: Notes | None) -> None:
    drop(repository.home / (_NAME + UNDER_WAY))
    drop(repository.home / _NAME)
    if notes is None or notes.home_made:
        drop_folder(repository.home)
