"""Nothing that looks like a credential is committed in params, environment or console files; detect-secrets does the finding."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from types import ModuleType

from gittrack.hooks.call import Call, Staged, Verdict

# Where values of a run's surroundings are written down; code has linters of its own.
_PATTERNS = (
    "*.cfg",
    "*.env",
    "*.ini",
    "*.json",
    "*.log",
    "*.out",
    "*.toml",
    "*.yaml",
    "*.yml",
    ".env*",
    "console*",
    "env*",
    "params*",
)
_LARGEST = 4 * 1024 * 1024
# What a line must have for any of the detectors to see something in it: they take longer to load than all else together.
_SUSPECT = re.compile(
    rb"(?i)[\w+/=.-]{16}|pass|contrase|pwd|secret|token|credential|private|auth|key|://[^\s/]*:[^\s/]*@"
)
# The detectors of entropy are left out: ids of commits and checksums are what these files are full of.
_LEFT_OUT = ("Base64HighEntropyString", "HexHighEntropyString")
_TOKENS = re.compile(rb"(?P<hf>\bhf_[A-Za-z0-9]{30,255}\b)|(?i:wandb)[\w\"' ]*[:=]\s*[\"']?[0-9a-f]{40}\b")
_BASELINE = ".secrets.baseline"


def check(call: Call) -> Verdict:
    named = (*call.settings.params.files, *call.settings.metrics.files)
    # What only moves was let pass before.
    known = {one.before for one in call.staged}
    files = [one for one in call.staged if one.is_file and one.blob not in known and _is_looked_at(one, named)]
    sizes = call.sizes([str(one.blob) for one in files])
    large = [one for one in files if sizes.get(str(one.blob), 0) > _LARGEST]
    files = [one for one in files if one not in large]
    notes = (f"files above 4 MB are not looked at: {', '.join(one.name for one in large[:3])}",) if large else ()
    blobs = call.blobs([blob for one in files for blob in (one.blob, one.before) if blob is not None])
    suspect = {}
    for one in files:
        before = set(blobs.get(str(one.before), b"").splitlines())
        lines = blobs.get(str(one.blob), b"").splitlines()
        fresh = {at: line for at, line in enumerate(lines, 1) if line not in before and _SUSPECT.search(line)}
        if fresh:
            suspect[one] = fresh
    if not suspect:
        return Verdict(notes=notes)
    found = list(_find(suspect, blobs, _allowed(call)))
    if not found:
        return Verdict(notes=notes)
    text = (
        "what looks like a credential would stay in git for ever; take it out and read it from the environment, or mark the line "
        "with '# pragma: allowlist secret'"
    )
    return Verdict((text,), notes, tuple(found))


def _is_looked_at(one: Staged, named: Collection[str]) -> bool:
    pure = PurePosixPath(one.name)
    return one.name in named or ".gittrack" in pure.parts or any(fnmatch(pure.name.lower(), glob) for glob in _PATTERNS)


def _allowed(call: Call) -> frozenset[str]:
    """Hashes of what the team has looked at and lets stand, in the file of detect-secrets, as it will be committed."""
    try:
        data = call.repository.run("show", f":{_BASELINE}", check=False).stdout
        results = json.loads(data)["results"] if data else {}
        return frozenset(one["hashed_secret"] for some in results.values() for one in some)
    except (ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def _find(
    suspect: Mapping[Staged, Mapping[int, bytes]], blobs: Mapping[str, bytes], allowed: Collection[str]
) -> Iterator[str]:
    # As they will be committed, which need not be what lies in the worktree.
    with _without_network(), tempfile.TemporaryDirectory(prefix="gittrack-") as folder:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.core.scan import scan_file
        from detect_secrets.settings import transient_settings

        known: Mapping[str, type] = get_mapping_from_secret_type_to_class()
        names = [one.__name__ for one in known.values()]
        with transient_settings({"plugins_used": [{"name": name} for name in names if name not in _LEFT_OUT]}):
            for at, (one, fresh) in enumerate(suspect.items()):
                place = Path(folder) / str(at) / PurePosixPath(one.name).name
                place.parent.mkdir()
                place.write_bytes(blobs[str(one.blob)])
                # Never the value: it would be in the console then, and in its log.
                seen = list(scan_file(str(place)))
                lines = {
                    (secret.line_number, secret.type)
                    for secret in seen
                    if secret.line_number in fresh and secret.secret_hash not in allowed
                }
                lines |= set(_of_machine_learning(fresh, {number for number, _ in lines}))
                yield from (f"{one.name}:{number}  {kind}" for number, kind in sorted(lines))


def _of_machine_learning(fresh: Mapping[int, bytes], told: Collection[int]) -> Iterator[tuple[int, str]]:
    """Tokens of services that people train with, which detect-secrets does not know."""
    for number, line in fresh.items():
        found = _TOKENS.search(line)
        if found is not None and number not in told and b"pragma: allowlist secret" not in line:
            yield number, "Hugging Face Token" if found["hf"] else "Weights & Biases Key"


class _Absent(ModuleType):
    """Whatever type is asked of it for an annotation, it has."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@contextmanager
def _without_network() -> Iterator[None]:
    """detect-secrets loads an HTTP client, to ask services whether a key is alive; that takes as long as all else, and we never ask."""
    if "requests" in sys.modules or "detect_secrets" in sys.modules:
        yield
        return
    sys.modules["requests"] = _Absent("requests")
    try:
        yield
    finally:
        del sys.modules["requests"]
