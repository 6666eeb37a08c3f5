"""`gittrack init`: a repository made ready, without touching what is there."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from gittrack.errors import RepositoryError
from gittrack.git.attributes import set_attributes
from gittrack.git.repository import Repository
from gittrack.ledger import layout
from gittrack.pointers.setup import set_up_dvc
from gittrack.settings import SETTINGS_FILE, Settings
from gittrack.settings.template import TEMPLATE

# Of a run commit what git's own diff cannot show, or shows as different in every line.
_READABLE = (layout.HISTORY, layout.WHOLE_LINE, f"{layout.PLOTS}/**/*.tsv")


def set_up(repository: Repository, settings: Settings, *, fetch_runs: bool = False) -> list[str]:
    """Write the settings file, set up DVC and the place for run data where they are missing; returns what was done.

    With `fetch_runs` plain `git fetch` brings runs along from now on. Safe to repeat.
    Neither the index nor a commit is touched: the last line says what to commit.
    """
    root = repository.root
    if root is None:
        raise RepositoryError(
            f"{repository.git_dir} has no worktree, and settings are committed on a branch; run 'gittrack init' in a clone with files"
        )
    done = []
    written = []
    place = root / SETTINGS_FILE
    if place.exists():
        done.append(f"{SETTINGS_FILE} is there and stays as it is")
    else:
        place.parent.mkdir(exist_ok=True)
        place.write_text(TEMPLATE, encoding="utf-8")
        done.append(f"wrote {SETTINGS_FILE}: every setting with its default, commented out")
        written.append(SETTINGS_FILE)
    files = set_up_dvc(root)
    if files:
        done.append(f"set up DVC: wrote {', '.join(files)}")
        written += files
    else:
        done.append("DVC is set up already")
    done += _set_up_fetching(repository, fetch_runs)
    done += _set_up_diff(repository)
    more, changed = _set_up_remotes(repository, root, settings)
    done += more
    written += [name for name in changed if name not in written]
    ignored = [
        name for name in written if repository.run("check-ignore", "-q", "--", name, check=False).returncode == 0
    ]
    if ignored:
        done.append(
            f"careful: .gitignore covers {', '.join(ignored)}; take them out of it, so that they can be committed"
        )
    if written:
        done.append(f"next: git add {' '.join(written)} && git commit -m 'Set up gittrack'")
    if repository.resolve("HEAD") is None:
        done.append("the repository has no commit yet; runs need one")
    return done


def _set_up_fetching(repository: Repository, wanted: bool) -> list[str]:
    """Let plain `git fetch` bring ledgers, to refs that nothing else writes; without `wanted` only say that it could."""
    remotes = repository.git("remote").decode("utf-8", "replace").split()
    lacking = {
        name: f"{layout.LEDGERS}*:{layout.TRACKED}{name}/*"
        for name in remotes
        if not any(layout.LEDGERS in one for one in repository.config.get(f"remote.{name}.fetch", ()))
    }
    if not lacking:
        return (
            ["there is no git remote yet; 'gittrack init --fetch-runs' again when there is"]
            if wanted and not remotes
            else []
        )
    if not wanted:
        return ["'gittrack init --fetch-runs' lets plain 'git fetch' bring runs too; 'gittrack fetch' does in any case"]
    for name, refspec in lacking.items():
        repository.git("config", "--add", f"remote.{name}.fetch", refspec)
    return [f"'git fetch' brings runs too, from {', '.join(lacking)}"]


def _set_up_diff(repository: Repository) -> list[str]:
    """Let `git diff` and `git log -p` of run commits show histories as text, in this clone."""
    changed = set_attributes(repository, [f"/{layout.FOLDER}/{one} diff=gittrack" for one in _READABLE])
    # Without this gittrack, with another one; without any, the content's name still says whether it differs. A diff never fails.
    # -P: no module of the user's own may come in the way.
    ours = f"{shlex.quote(sys.executable)} -P -m gittrack textconv"
    command = f'f() {{ {ours} "$1" 2>/dev/null || gittrack textconv "$1" 2>/dev/null || git hash-object "$1"; }}; f'
    there = repository.setting("diff.gittrack.textconv")
    if there != command and (there is None or "gittrack textconv" in there):
        repository.git("config", "diff.gittrack.textconv", command)
        changed = True
    return ["'git diff' and 'git log -p' show the histories of runs as text"] if changed else []


def _set_up_remotes(repository: Repository, root: Path, settings: Settings) -> tuple[list[str], list[str]]:
    """What to say of the remotes for the data of runs, and the committed files that changed."""
    from gittrack.pointers.places import find_places
    from gittrack.pointers.remote import RUN_DATA, base_remote, set_up_remote

    base = base_remote(root, settings.artifacts.remote, common_dir=repository.common_dir)
    changed = set_up_remote(root, base, find_places(repository.common_dir, root).keep)
    if base is None:
        text = "there is no DVC remote yet, so 'gittrack push' has no place for data"
        return [f"{text}; 'dvc remote add -d store URL', then 'gittrack init' again"], []
    if ".dvc/config" in changed:
        return [f"data of runs go to DVC's remote {base!r}, below gittrack/: 'dvc pull -r {RUN_DATA}' reads them"], [
            ".dvc/config"
        ]
    return [], []
