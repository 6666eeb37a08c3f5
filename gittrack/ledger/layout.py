"""How a run lies on disk, on one page: names of refs and files, and the message of its commit.

docs/formats/run-commit.md says it for people who have only git.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from gittrack.domain.amendment import ARTIFACT_PREFIX, Amendment
from gittrack.domain.metric import is_detail
from gittrack.domain.names import ID_LENGTH
from gittrack.domain.run import RunState

RUNS = "refs/experiments/"
LEDGERS = RUNS + "_ledger/"
KEPT = "refs/gittrack/live/"
INCOMING = "refs/gittrack/incoming/"  # while a fetch is at work
TRACKED = "refs/gittrack/remotes/"  # where plain `git fetch` puts ledgers, if it was told to

LEDGER_FORMAT = 1
LINES, PURGED = "runs.jsonl", "purged.jsonl"  # of a page
PAGE_MEMBERS, TIP_MEMBERS, PAGE_BYTES = 1_000, 100, 900_000

FOLDER = ".gittrack"
CONFIG = "config.yaml"  # the user's own, kept as it is
RUN, PARAMS, METRICS, ENVIRONMENT = "run.yaml", "params.yaml", "metrics.json", "environment.yaml"
PLOTS, HISTORY, CONSOLE, ARTIFACTS, DVC, IGNORE = (
    "plots/metrics",
    "history.parquet",
    "console.log",
    "artifacts",
    "dvc.yaml",
    ".gitignore",
)
POINTER_SUFFIX = ".dvc"
WHOLE_LINE = "record.json"  # only where the record line in the message was cut short
OURS = frozenset(
    {RUN, PARAMS, METRICS, ENVIRONMENT, "plots", HISTORY, CONSOLE, ARTIFACTS, DVC, WHOLE_LINE, HISTORY + POINTER_SUFFIX}
)

RECORD, AMENDMENT = "Gittrack-Record", "Gittrack-Amendment"
LINE_LIMIT = 8 * 1024
LARGE_HISTORY = 20_000
LARGE_FILE = 1_000_000  # bytes; hosts advise against larger ones
PLOT_ROWS = 1_000


def run_ref(experiment: str, run_id: str) -> str:
    return f"{RUNS}{experiment}/{run_id}"


PART = LEDGERS + "part-"  # in a bundle of chosen runs


def is_ledger(ref: str) -> bool:
    """Whether a ref holds a ledger, one of ours or one that plain `git fetch` brought."""
    return ref.startswith((LEDGERS, TRACKED))


def kept_ref(run_id: str) -> str:
    """While a run is active, this ref keeps its code from being pruned."""
    return KEPT + run_id


def parse_run_ref(ref: str) -> tuple[str, str] | None:
    """Experiment and run id of a run's ref, or None for any other."""
    if not ref.startswith(RUNS) or ref.startswith(RUNS + "_"):
        return None
    # Ids have one length, so the end of the ref is cut off instead of searched for: this runs for every ref there is.
    experiment, run_id = ref[len(RUNS) : -ID_LENGTH - 1], ref[-ID_LENGTH:]
    if not experiment or ref[-ID_LENGTH - 1] != "/" or run_id.strip("0123456789abcdef") or len(run_id) != ID_LENGTH:
        return None
    return experiment, run_id


def plot_path(key: str) -> str:
    """The file of a metric's history; what a file system or git forbids in a name is percent-encoded."""
    parts = [_file_name(part) for part in key.split("/")]
    return f"{PLOTS}/{'/'.join(parts)}.tsv"


def _file_name(part: str) -> str:
    name = quote(part, safe="-_+=,@ ()[]{}.") if part else "%00"
    # `a.tsv/b` must not meet the file of `a`, and neither `.git` nor `..` may be a name in a tree.
    if name.endswith(".tsv"):
        name = name[:-4] + "%2Etsv"
    if name.startswith(".") or name.lower().startswith("git~"):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name.endswith((".", " ")):
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    if len(name) > 200:
        import hashlib

        name = f"{name[:150]}~{hashlib.md5(part.encode(), usedforsecurity=False).hexdigest()}"
    return name


# --- messages


def run_message(state: RunState, line: bytes) -> str:
    """The message of a run commit: a line for people, the description, trailers, the record line last."""
    return _message(run_subject(state), state.description, _trailers(state), RECORD, line)


def run_subject(state: RunState) -> str:
    subject = f"{state.experiment}/{state.name}: {state.status}"
    shown = 0
    for key, value in state.metrics.items():
        if is_detail(key):
            continue
        part = f"{', ' if shown == 0 else ' '}{key}={value:.5g}"
        if shown and len(subject) + len(part) > 72:
            break
        subject += part
        shown += 1
    return subject


def amendment_message(amendment: Amendment, state: RunState, line: bytes) -> str:
    if amendment.continuation is not None:
        subject = f"{run_subject(amendment.continuation)} (attempt {amendment.continuation.attempt})"
    else:
        subject = f"{state.experiment}/{state.name}: {_change_subject(amendment.changes)}"
    text = str(amendment.changes.get("description") or "")
    trailers = {"Gittrack-Run": amendment.run, "Gittrack-Clock": str(amendment.clock)}
    return _message(subject, text, trailers, AMENDMENT, line)


def _change_subject(changes: Mapping[str, str | bool | None]) -> str:
    words = []
    for key, value in changes.items():
        if key == "deleted":
            words.append("delete" if value else "restore")
        elif key == "description":
            words.append("describe")
        elif key == "name":
            words.append(f"rename to {value}")
        elif key.startswith(ARTIFACT_PREFIX):
            words.append(f"add artifact {key[len(ARTIFACT_PREFIX) :]}")
        elif value is None:
            words.append(f"remove {key.replace(':', ' ', 1)}")
        else:
            words.append(f"{key.replace(':', ' ', 1)}={value}")
    return " ".join(", ".join(words).split())[:100]


def _trailers(state: RunState) -> dict[str, str]:
    trailers = {
        "Gittrack-Run": state.id,
        "Gittrack-Experiment": state.experiment,
        "Gittrack-Status": str(state.status),
    }
    if state.parent:
        trailers["Gittrack-Parent"] = state.parent
    return trailers


def _message(subject: str, text: str, trailers: Mapping[str, str], key: str, line: bytes) -> str:
    body = f"\n{_indent_trailers(text.strip())}\n" if text.strip() else ""
    block = "".join(f"{name}: {value}\n" for name, value in trailers.items())
    return f"{subject}\n{body}\n{block}{key}: {line.decode('utf-8')}\n"


def _indent_trailers(text: str) -> str:
    """A description that imitates our last line must not be taken for it."""
    return re.sub(r"(?m)^(Gittrack-)", r" \1", text)


def page_message(writer: str, runs: int, amendments: int, purged: int = 0) -> str:
    """The message of a ledger's page: a line for people, and trailers in this order."""
    parts = [(runs, "run"), (amendments, "amendment"), (purged, "purge")]
    said = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in parts if count)
    trailers = {
        "Gittrack-Ledger": writer,
        "Gittrack-Format": str(LEDGER_FORMAT),
        "Gittrack-Members": str(runs + amendments),
    }
    return f"ledger {writer}: {said or 'begun'}\n\n" + "".join(f"{name}: {one}\n" for name, one in trailers.items())


def find_line(commit: bytes) -> tuple[str, bytes] | None:
    """Which of our lines a commit object ends in, and its JSON; None when it is not ours."""
    for key in (RECORD, AMENDMENT):
        mark = b"\n%s: {" % key.encode()
        at = commit.rfind(mark)
        if at != -1:
            end = commit.find(b"\n", at + 1)
            return key, commit[at + len(mark) - 1 : len(commit) if end == -1 else end]
    return None


def commit_links(commit: bytes) -> tuple[str, list[str]]:
    """Tree and parents of a commit object."""
    tree, parents = "", []
    for row in commit[: commit.find(b"\n\n")].split(b"\n"):
        if row.startswith(b"tree "):
            tree = row[5:].decode("ascii")
        elif row.startswith(b"parent "):
            parents.append(row[7:].decode("ascii"))
        else:
            break
    return tree, parents


# How a line is shortened, step by step until it fits: of mappings a share of their bytes is kept, of texts a length.
_SHORTER: tuple[tuple[str, float], ...] = (
    ("params", 2 / 3),
    ("metrics", 1 / 3),
    ("params", 0),
    ("description", 500),
    ("command", 500),
    ("tags", 1 / 3),
    ("artifacts", 1 / 3),
    ("metrics", 0),
    ("description", 0),
    ("command", 0),
    ("tags", 0),
    ("artifacts", 0),
)


def fit_line(plain: dict[str, Any], dump: Callable[[dict[str, Any]], bytes]) -> bytes:
    """The JSON of a record in at most LINE_LIMIT bytes; what is left out, from the end, is in the files of the run."""
    line = dump(plain)
    if len(line) <= LINE_LIMIT:
        return line
    record = plain.get("continuation") or plain
    record["truncated"] = True
    # What guards look for is no part of any table.
    record.pop("results", None)
    for field, keep in _SHORTER:
        over = len(dump(plain)) - LINE_LIMIT
        if over <= 0:
            break
        values = record.get(field) or {}
        if isinstance(values, str):
            record[field] = values[: int(keep)]
            continue
        # Without the braces, but with a comma.
        sizes = {key: len(dump({key: value})) - 1 for key, value in values.items()}
        spare = sum(sizes.values()) * (1 - keep)
        for key in reversed(sizes):
            if over <= 0 or spare < sizes[key]:
                break
            del values[key]
            over -= sizes[key]
            spare -= sizes[key]
    return dump(plain)
