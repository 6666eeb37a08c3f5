from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gittrack.domain.run import RunState
from gittrack.git.repository import Repository
from gittrack.index import Index
from tests.helpers import Repo


@pytest.fixture
def index(repo: Repo) -> Iterator[Index]:
    with Index.open(Repository.discover(repo.path)) as opened:
        yield opened


@pytest.fixture
def index_of(repo: Repo) -> Iterator[Callable[..., Index]]:
    """An index that holds just these runs, as if all of them went on now."""
    opened = []

    def make(*states: RunState) -> Index:
        index = Index.open(Repository.discover(repo.path))
        opened.append(index)
        index.update(states)
        return index

    yield make
    for index in opened:
        index.close()
