"""The version of a model: a semantic version (semver.org, 2.0.0), of which people mostly say the first number."""

from __future__ import annotations

import re
from functools import total_ordering

from gittrack.errors import InvalidName
from gittrack.values import dataclass

_NUMBER = r"0|[1-9][0-9]{0,8}"
_PART = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_WHOLE = re.compile(
    rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?"
    rf"(?:-({_PART}(?:\.{_PART})*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?",
    re.ASCII,
)


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    major: int
    minor: int = 0
    patch: int = 0
    pre: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """`v1.2.0`, `1.2.0`, and `v3` or `3` for `v3.0.0`; raises InvalidName."""
        found = cls.read(text)
        if found is None:
            raise InvalidName(f"{text!r:.80} is no version; write one like v3, 3.1.0 or 3.1.0-rc.1")
        return found

    @classmethod
    def read(cls, text: str) -> Version | None:
        """As `parse`, but None for what is no version."""
        found = _WHOLE.fullmatch(text) if len(text) <= 100 else None
        if found is None or text.endswith(".lock"):
            # No ref ends like that.
            return None
        return cls(int(found[1]), int(found[2] or 0), int(found[3] or 0), found[4] or "", found[5] or "")

    def __str__(self) -> str:
        text = f"v{self.major}.{self.minor}.{self.patch}"
        return text + (f"-{self.pre}" if self.pre else "") + (f"+{self.build}" if self.build else "")

    @property
    def short(self) -> str:
        """`v3` for `v3.0.0`, as people say it."""
        return f"v{self.major}" if (self.minor, self.patch, self.pre, self.build) == (0, 0, "", "") else str(self)

    def bump(self, part: str) -> Version:
        if part == "major":
            return Version(self.major + 1)
        if part == "minor":
            return Version(self.major, self.minor + 1)
        # What comes after a pre-release is that release itself.
        return Version(self.major, self.minor, self.patch + (not self.pre))

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    @property
    def _key(self) -> tuple[object, ...]:
        """Precedence of semver.org, item 11; of two that differ only in the build, which has none, the text decides."""
        parts = tuple((0, int(one), "") if one.isdecimal() else (1, 0, one) for one in self.pre.split("."))
        return self.major, self.minor, self.patch, not self.pre, parts, self.build
