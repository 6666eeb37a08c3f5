"""`gittrack init`: a repository made ready, without touching what is there."""

from __future__ import annotations

from gittrack.errors import RepositoryError
from gittrack.git.repository import Repository
from gittrack.pointers.setup import set_up_dvc
from gittrack.settings import SETTINGS_FILE
from gittrack.settings.template import TEMPLATE


def set_up(repository: Repository) -> list[str]:
    """Write the settings file and set up DVC where they are missing; returns what was done, a line each.

    Safe to repeat. Neither the index nor a commit is touched: the last line says what to commit.
    """
    root = repository.root
    if root is None:
        raise RepositoryError(
            f"{repository.git_dir} has no worktree, and settings are committed on a branch; run 'gittrack init' in a clone with files"
        )
    done = []
    written = []
    settings = root / SETTINGS_FILE
    if settings.exists():
        done.append(f"{SETTINGS_FILE} is there and stays as it is")
    else:
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(TEMPLATE, encoding="utf-8")
        done.append(f"wrote {SETTINGS_FILE}: every setting with its default, commented out")
        written.append(SETTINGS_FILE)
    files = set_up_dvc(root)
    if files:
        done.append(f"set up DVC: wrote {', '.join(files)}")
        written += files
    else:
        done.append("DVC is set up already")
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
