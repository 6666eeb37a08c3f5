"""Words in settings: the right one for a wrong one, and those that stand twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml


def nearest(text: str, known: Iterable[str]) -> str:
    """The end of a sentence about a wrong word: the right one, or all there are."""
    # Only a mistake needs it, and the import takes milliseconds.
    from difflib import get_close_matches

    names = list(known)
    near = get_close_matches(text, names, n=1)
    if not near:
        last = {name.rpartition(".")[2]: name for name in names}
        near = [last[one] for one in get_close_matches(text.rpartition(".")[2], list(last), n=1)]
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


def said_twice(node: yaml.Node | None, seen: set[int] | None = None) -> Iterator[tuple[str, int, int]]:
    """Keys that stand twice in one mapping, anywhere below, each with its line and that of the first; lines count from 1.

    YAML would take the last, and what was meant nobody knows.
    """
    import yaml

    seen = set() if seen is None else seen
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return  # an anchor may stand in itself
    seen.add(id(node))
    lines: dict[str, int] = {}
    for one in node.value:
        if isinstance(node, yaml.MappingNode):
            key, value = one
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    yield key.value, line, lines[key.value]
                lines[key.value] = line
            yield from said_twice(value, seen)
        else:
            yield from said_twice(one, seen)
