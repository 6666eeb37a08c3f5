"""What `gittrack run` adds to a command."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.fixtures import repository
from benchmarks.harness import Bench, interleaved, process, program
from benchmarks.rows import Limit, Row


def rows(bench: Bench) -> Iterator[Row]:
    repo = repository(bench.new_folder("wrapper"), files=50)
    found = interleaved(
        {"bare": process(["true"], repo), "run": process([*program(), "run", "--", "true"], repo)},
        bench.sizes.repeats,
    )
    bare = found["bare"].median * 1000
    # The difference of two medians that were measured in turns.
    above = found["run"].median * 1000 - bare
    yield Row("gittrack run -- true, above true", above, "ms", bar=250, limit=Limit(bare, "true"))
