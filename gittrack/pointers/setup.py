"""DVC in a repository that has none yet."""

from __future__ import annotations

from pathlib import Path

# What `dvc init` writes, byte for byte (DVC 3). Written here because that command also stages the files, and the
# user's index is not ours to change.
_FILES = {
    ".dvc/config": "",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "# Add patterns of files dvc should ignore, which could improve\n"
    "# the performance. Learn more at\n# https://dvc.org/doc/user-guide/dvcignore\n",
}


def has_dvc(root: Path) -> bool:
    return (root / ".dvc").is_dir()


def set_up_dvc(root: Path) -> list[str]:
    """Make the repository at `root` a DVC project; returns the files written, none when it is one already."""
    if has_dvc(root):
        return []
    written = []
    for name, text in _FILES.items():
        path = root / name
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(name)
    return written
