"""Files of a run as `git diff` should show them: a line for each point, without what differs in every run.

Told by their content: git hands over a file under any name.
"""

from __future__ import annotations

from contextlib import suppress

_TSV, _PARQUET, _RECORD = b"step\tvalue\ttime", b"PAR1", b'{"format":'


def show(path: str) -> None:
    """Write a file to stdout as `readable` has it; who reads may leave early. Raises OSError."""
    with open(path, "rb") as file:
        text = readable(file.read())
    with suppress(BrokenPipeError), open(1, "wb", closefd=False) as out:
        out.write(text)


def readable(data: bytes) -> bytes:
    """A history without its times, a record of one line with a line for each key; anything else, or broken, as it is."""
    try:
        if data.startswith(_TSV):
            return _points(data)
        if data.startswith(_PARQUET):
            return _histories(data)
        if data.startswith(_RECORD):
            import orjson

            return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except Exception:
        # Whatever is wrong with it, a person who asks for a diff gets one.
        return data
    return data


def _points(data: bytes) -> bytes:
    """Step and value, and the attempt in a resumed run; when a point was logged is never the same twice."""
    rows = [line.split(b"\t") for line in data.splitlines()]
    if len({len(row) for row in rows}) != 1:
        return data
    return b"".join(b"\t".join((*row[:2], *row[3:])) + b"\n" for row in rows)


def _histories(data: bytes) -> bytes:
    from gittrack.ledger.files import from_parquet
    from gittrack.report.text import escape

    lines = ["key\tstep\tvalue\n"]
    for key, one in from_parquet(data).items():
        name = escape(key)
        more = [f"\t{attempt}" for attempt in one.attempts] or [""] * len(one)
        lines += [
            f"{name}\t{step}\t{value!r}{attempt}\n"
            for step, value, attempt in zip(one.steps, one.values, more, strict=True)
        ]
    return "".join(lines).encode("utf-8", "backslashreplace")
