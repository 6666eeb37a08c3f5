"""Registrations that a run asked for: kept from the moment when it is recorded until somebody has made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from gittrack.ledger.notes import Note
from gittrack.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Wish:
    """`artifact` of `run` is to be a version of `model`."""

    run: str
    model: str
    artifact: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Wishes(Note):
    """What is still to be registered."""

    name = "wishes"

    def add(self, wishes: list[Wish]) -> None:
        self.note(_to_word(one) for one in wishes)

    def __iter__(self) -> Iterator[tuple[str, Wish | None]]:
        """Each with the word by which it is struck off; None for one that cannot be read."""
        return ((word, _from_word(word)) for word in self.noted)


def _to_word(wish: Wish) -> str:
    import orjson

    return quote(orjson.dumps([wish.run, wish.model, wish.artifact, dict(wish.details)]), safe="")


def _from_word(word: str) -> Wish | None:
    import orjson

    try:
        run, model, artifact, details = orjson.loads(unquote(word))
        return Wish(str(run), str(model), str(artifact), dict(details))
    except (ValueError, TypeError):
        return None
