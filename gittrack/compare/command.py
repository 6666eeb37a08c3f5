"""Commands as a part of a configuration: what is left of one when that is taken away which tells repeats apart. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from typing import Any

# Stands for a seed-like value; no word of a command can hold it.
_PLACE = "\0"
_BIN = {"bin", "scripts"}
_INTERPRETER = re.compile(
    r"(python|pypy|ipython|julia|perl|ruby|lua|node|php)w?(-?\d+(\.\d+)*)?(\.exe)?", re.IGNORECASE
)
_KERNEL = re.compile(r"(.*[/\\])?ipykernel(_launcher)?(\.py)?")
_QUOTES = set("'\"\\")
_WHOLE = re.compile(r"[-+]?\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_FLAG = re.compile(r"-{1,2}[^\W\d][\w.-]*")
_ASSIGNED = re.compile(r"([-+~]*[^\W\d][\w./-]*)=(.*)", re.DOTALL)
# A number of its own in a longer word, and no part of a decimal or an exponent.
_INSIDE = re.compile(r"(?<!\d)(?<!\d\.)(?<!\d[eE][-+])\d{1,20}(?![A-Za-z\d]|\.\d)", re.ASCII)
# The number in such a name says which program or settings ran.
_SOURCE = re.compile(r"\.(py|ipynb|sh|r|jl|ya?ml|toml|json5?|cfg|ini)$", re.IGNORECASE)


def shape(command: str, names: Collection[str], values: Collection[Any]) -> tuple[str, ...]:
    """The words of a command, equal for repeats; `names` are of what is like a seed, `values` what the run has there.

    Without the folder and version of an interpreter, a notebook's connection file, and these values where a word is one: after a
    flag of such a name, elsewhere as a word that belongs to no flag, or as a number inside a longer word.
    """
    words = _words(command)
    if not words:
        return ()
    program, *rest = words
    rest = list(_without_kernel(rest))
    if values:
        rest = _Seeds(names, values).replaced(rest)
    return (_program(program), *rest)


def _words(command: str) -> list[str]:
    if not _QUOTES & set(command):
        return command.split()  # the same, ten times faster
    try:
        return shlex.split(command)
    except ValueError:  # text of somebody else, which no shell would take
        return command.split()


def _program(word: str) -> str:
    folder, _, name = word.replace("\\", "/").rpartition("/")
    found = _INTERPRETER.fullmatch(name)
    if found is not None:
        return found[1].lower()
    # A tool is the same in every environment; a script of one's own may be another one in another folder.
    return name if posixpath.basename(folder).lower() in _BIN else word


def _without_kernel(words: Iterable[str]) -> Iterator[str]:
    """Jupyter names a new file for each kernel that it starts."""
    kernel = file_follows = False
    for word in words:
        if file_follows or (kernel and re.match(r"--?f=", word)):
            file_follows = False
        elif kernel and word in ("-f", "--f"):
            file_follows = True
        else:
            kernel = kernel or _KERNEL.fullmatch(word) is not None
            yield word


class _Seeds:
    """The values of one run that tell it apart from its repeats, and the names by which a command may give them."""

    def __init__(self, names: Collection[str], values: Collection[Any]) -> None:
        self.names = [_plain(name) for name in names if _plain(name)]
        self.initials = {f"-{name[0]}" for name in self.names}
        self.numbers = {int(one) for one in values if _is_whole(one)}
        self.texts = {one for one in values if isinstance(one, str)}

    def replaced(self, words: Collection[str]) -> list[str]:
        pairs = list(zip(["", *words], words, strict=False))
        named = [self._is_named(before, word) for before, word in pairs]
        # Where a flag names the seed, the same number elsewhere is something else.
        by_place = not any(named)
        found = []
        for (before, word), is_named in zip(pairs, named, strict=True):
            assigned = _ASSIGNED.fullmatch(word)
            if is_named:
                found.append(_PLACE if assigned is None else f"{assigned[1]}={_PLACE}")
            elif self._is(word):
                found.append(_PLACE if by_place and not _FLAG.fullmatch(before) else word)
            elif len(parts := word.split()) > 1:  # a command line, as of `sh -c`
                found.append(" ".join(self.replaced(parts)))
            elif assigned is not None:
                found.append(f"{assigned[1]}={self._inside(assigned[2])}")
            else:
                found.append(self._inside(word))
        return found

    def _is_named(self, before: str, word: str) -> bool:
        assigned = _ASSIGNED.fullmatch(word)
        if assigned is not None:
            return self._names(assigned[1]) and self._is(assigned[2])
        return _FLAG.fullmatch(before) is not None and self._names(before) and self._is(word)

    def _names(self, flag: str) -> bool:
        return flag in self.initials or self._ends_with_name(flag)

    def _ends_with_name(self, text: str) -> bool:
        """`--seed`, `model.seed`, `np-seed`, and not `reseed`."""
        plain = f"_{_plain(text)}"
        return any(plain.endswith((f"_{name}", f".{name}")) for name in self.names)

    def _is(self, word: str) -> bool:
        return word in self.texts or (_WHOLE.fullmatch(word) is not None and int(word) in self.numbers)

    def _inside(self, word: str) -> str:
        """`out/seed3/model.pkl`; numbers that are all of a word, or a list of them, are something else."""
        if not re.search(r"[A-Za-z/]", word) or _NUMBER.fullmatch(word):
            return word
        source = _SOURCE.search(word) is not None

        def replace(found: re.Match[str]) -> str:
            before = word[: found.start()]
            called = before in self.initials or self._ends_with_name(before)
            other = source or before[-1:].isalpha()
            return _PLACE if int(found[0]) in self.numbers and (called or not other) else found[0]

        return _INSIDE.sub(replace, word)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace("/", "_").strip("_+~")


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value == value // 1 and value >= 0
