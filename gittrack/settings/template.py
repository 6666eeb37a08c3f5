"""The settings file that `gittrack init` writes: every setting, commented out, at its default."""

from __future__ import annotations

import textwrap

from gittrack.settings.schema import SCHEMA

_HEAD = """\
# Settings of gittrack for everyone who works on this branch: commit this file.
# What is shown are the defaults; take the '#' away before a section and a setting to change it.
# Stronger than this file are `git config gittrack.run.allow-dirty all` (for you alone),
# the variable GITTRACK_RUN_ALLOW_DIRTY=all, and the options of a command.
"""


def _template() -> str:
    lines = []
    section = ""
    for setting in SCHEMA:
        head, _, name = setting.key.rpartition(".")
        if head != section or not head:
            lines.append("")
        if head and head != section:
            lines.append(f"#{head}:")
        section = head
        indent = "#  " if head else ""
        lines += [f"{indent}# {line}" for line in setting.doc.split("\n")]
        value = textwrap.wrap(
            f"{name}: {_as_yaml(setting.default)}",
            width=90,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        lines += [(indent or "#") + line for line in value]
    return _HEAD + "\n".join(lines) + "\n"


def _as_yaml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(f'"{one}"' if "*" in one else str(one) for one in value) + "]"
    if value == "":
        return '""'
    return str(value).lower() if isinstance(value, bool) else str(value)


TEMPLATE = _template()
