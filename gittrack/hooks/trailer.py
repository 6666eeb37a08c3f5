"""A commit that holds what runs left names them: `Gittrack-Run: <id>` in its message."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gittrack.hooks.call import PASSED, Call, Staged, Verdict
from gittrack.hooks.contents import makers_of
from gittrack.hooks.staged import staged_against

TRAILER = "Gittrack-Run"
# What git prepared by itself: a merge brings what was committed before, a squash the messages of those commits.
_PREPARED = ("merge", "squash")
_MOST = 20
_OURS = re.compile(rb"^" + TRAILER.encode("ascii") + rb": .*(?:\n|\Z)", re.MULTILINE)
# git takes a message for empty that holds nothing else.
_SIGNED = re.compile(rb"\s*(?:^Signed-off-by: .*(?:\n|\Z)\s*)*\Z", re.MULTILINE)
# Those among which git chooses where core.commentChar is auto.
_COMMENT_CHARS = b"#;@!$%^&|:"
_CUT = b" ------------------------ >8 ------------------------\n"


def check(call: Call) -> Verdict:
    file, source = _told(call)
    if file is None:
        return PASSED
    if _is_written(call, source):
        _take_back(call, Path(file))
        return PASSED
    if source in _PREPARED:
        return PASSED
    runs = {runs[0].id: None for _, runs in makers_of(call, _held(call, source))}
    if not runs:
        return PASSED
    options = ["--in-place", "--if-exists", "addIfDifferent", "--if-missing", "add"]
    # The commands that the user's own settings attach to trailers are for those he writes.
    trailers = [word for run in list(runs)[:_MOST] for word in ("--trailer", f"{TRAILER}: {run}")]
    comment = _comment(call, Path(file).read_bytes())
    call.repository.git("-c", b"core.commentChar=" + comment, "interpret-trailers", *options, *trailers, "--", file)
    content = Path(file).read_bytes()
    if _OURS.match(content.removeprefix(b"\n")):
        # As git does before a signature: who writes into the first line should not have ours in his first paragraph.
        Path(file).write_bytes(b"\n\n" + content.removeprefix(b"\n"))
    return PASSED


def _told(call: Call) -> tuple[str | None, str]:
    """The message's file, and where its text comes from; in the framework variables tell the second."""
    if not call.words:
        return None, ""
    source = call.words[1] if len(call.words) > 1 else call.environ.get("PRE_COMMIT_COMMIT_MSG_SOURCE", "")
    # Relative to where git calls the hook, and we start git at the top of the worktree.
    return os.path.abspath(call.words[0]), source


def _held(call: Call, source: str) -> tuple[Staged, ...]:
    """What the commit will hold; one that is amended also what it held before."""
    if source != "commit":
        return call.staged
    return tuple(staged_against(call.repository, "HEAD^"))


# --- the message is written


def _is_written(call: Call, source: str) -> bool:
    """Whether the user is done with the message: git asks commit-msg."""
    if call.hook == "commit-msg":
        return True
    if source or "PRE_COMMIT" not in call.environ:
        return False
    # The framework says the same in both hooks where git names no source. Unknown counts as written: then nothing is added.
    return _stage() != "prepare-commit-msg"


def _stage() -> str | None:
    """For which hook the framework that called us was started."""
    import psutil

    for process in psutil.Process().parents():
        try:
            found = re.search(r"--hook-(?:type|stage)[= ](\S+)", " ".join(process.cmdline()))
        except psutil.Error:
            continue
        if found:
            return found[1]
    return None


def _take_back(call: Call, file: Path) -> None:
    """Where nothing else was written, git is to abort as it does without us."""
    content = file.read_bytes()
    comment = _comment(call, content)
    message, cut, rest = content.partition(comment + _CUT)
    theirs = _OURS.sub(b"", message)
    if theirs != message and _is_untouched(_stripped(call, theirs, comment), _template(call, comment)):
        file.write_bytes(theirs + cut + rest)


def _is_untouched(text: bytes, template: bytes) -> bool:
    """git's own rule: nothing behind the template, if any, but signatures."""
    return _SIGNED.match(text.removeprefix(template)) is not None


def _stripped(call: Call, text: bytes, comment: bytes) -> bytes:
    # Said outright: git itself takes `auto` for # here.
    return call.repository.git("-c", b"core.commentChar=" + comment, "stripspace", "--strip-comments", stdin=text)


def _template(call: Call, comment: bytes) -> bytes:
    """What commit.template holds; that of an option --template nobody tells a hook."""
    done = call.repository.run("config", "--type=path", "-z", "commit.template", check=False)
    if done.returncode != 0:
        return b""
    path = Path(call.repository.root or call.repository.git_dir, os.fsdecode(done.stdout.rstrip(b"\0")))
    try:
        return _stripped(call, path.read_bytes(), comment)
    except OSError:
        return b""


def _comment(call: Call, content: bytes) -> bytes:
    """What comments begin with; where git chose by itself, its own hints at the end show it."""
    config = call.repository.config
    # Newer versions of git know the second name for the same.
    told = os.fsencode((*config.get("core.commentstring", ()), *config.get("core.commentchar", ()), "#")[0])
    if told.lower() != b"auto":
        return told
    cut = re.search(rb"^([" + re.escape(_COMMENT_CHARS) + rb"])" + re.escape(_CUT), content, re.MULTILINE)
    if cut:
        return cut[1]
    end = _OURS.sub(b"", content).rstrip().rpartition(b"\n")[2][:1]
    return end if end and end in _COMMENT_CHARS else b"#"
