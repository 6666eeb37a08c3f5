"""The files below `.gittrack/` in a run commit, as bytes and back."""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gittrack.domain.artifact import Artifact
from gittrack.domain.codec import flat_metrics, record_from_dict, record_to_dict, strict
from gittrack.domain.metric import History
from gittrack.domain.param import flatten, unflatten
from gittrack.domain.pointer import Pointer
from gittrack.domain.run import RunRecord
from gittrack.errors import CorruptRecord
from gittrack.ledger import layout
from gittrack.ledger.plain_yaml import plain_yaml
from gittrack.pointers.dvcfile import pointer_file
from gittrack.values import replace

if TYPE_CHECKING:
    from gittrack.domain.environment import Environment

_DEEP = 200
# Every level of a block begins further to the right.
_INDENTED = re.compile(rb"^[-?: ]{%d}" % _DEEP, re.MULTILINE)
_DVC_YAML = """\
params:
- params.yaml
metrics:
- metrics.json
"""
_DVC_PLOTS = """\
plots:
- plots/metrics:
    x: step
    y: value
"""


def run_files(
    record: RunRecord,
    environment: Environment,
    histories: Mapping[str, History],
    *,
    console: bytes = b"",
    artifacts: Mapping[str, bytes] | None = None,
    outside: Callable[[str, bytes], Pointer | None] = lambda path, data: None,
) -> dict[str, bytes]:
    """Every file of a run but the user's own settings, by its path below `.gittrack/`.

    A history beyond LARGE_FILE goes `outside` git, to where that says; where it says None, it stays.
    """
    large = sum(map(len, histories.values())) > layout.LARGE_HISTORY
    whole = to_parquet(histories) if large else b""
    pointer = outside(layout.HISTORY, whole) if len(whole) > layout.LARGE_FILE else None
    if pointer is not None:
        record = replace(record, large={layout.HISTORY: pointer})
    files = {
        layout.RUN: to_yaml(record_to_dict(record)),
        layout.PARAMS: to_yaml(unflatten(record.params)),
        layout.METRICS: _metrics_json({key: one.last for key, one in record.summary.items()}),
        layout.ENVIRONMENT: _environment_yaml(environment),
    }
    for key, history in histories.items():
        if len(history) > 1:
            files[layout.plot_path(key)] = to_tsv(thin(history, layout.PLOT_ROWS) if large else history)
    if large and pointer is None:
        files[layout.HISTORY] = whole
    plots = any(len(history) > 1 for history in histories.values())
    files[layout.DVC] = (_DVC_YAML + (_DVC_PLOTS if plots else "")).encode()
    if console:
        files[layout.CONSOLE] = console
    for path, data in (artifacts or {}).items():
        files[f"{layout.ARTIFACTS}/{path}"] = data
    return {**files, **pointer_files(record.artifacts, record.large)}


def pointer_files(artifacts: Iterable[Artifact], large: Mapping[str, Pointer] | None = None) -> dict[str, bytes]:
    """A `.dvc` file for each artifact that lies in DVC's cache, and for each `large` file of the run itself.

    A `.gitignore` names them all: a checkout stays clean.
    """
    pointers = {f"{layout.ARTIFACTS}/{one.path}": one.as_pointer() for one in artifacts if one.pointer} | dict(
        large or {}
    )
    if not pointers:
        return {}
    files = {
        f"{path}{layout.POINTER_SUFFIX}": pointer_file(one, path.rpartition("/")[2]) for path, one in pointers.items()
    }
    lines = sorted(f"/{_ignored(path)}\n" for path in pointers)
    files[layout.IGNORE] = "".join(lines).encode("utf-8")
    return files


def _ignored(path: str) -> str:
    """A path as a pattern that matches nothing else (gitignore(5))."""
    escaped = re.sub(r"([*?\[\]\\])", r"\\\1", path)
    return re.sub(r" $", r"\\ ", escaped)


# --- YAML and JSON


def to_yaml(plain: object) -> bytes:
    text = plain_yaml(plain)
    return library_yaml(plain) if text is None else text.encode("utf-8")


def library_yaml(plain: object) -> bytes:
    """The form of all our YAML, as the library writes it."""
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(
        plain,
        Dumper=dumper,
        sort_keys=False,
        allow_unicode=True,
        width=1000,
        default_flow_style=False,
    )
    return text.encode("utf-8", "backslashreplace")


def from_yaml(data: bytes, what: str) -> Any:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _is_deep(data, loader):
            raise CorruptRecord(f"{what} is nested too deeply; run 'gittrack fsck' to see what is damaged")
        return yaml.load(data, Loader=loader)
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise CorruptRecord(f"{what} is not valid YAML ({first}); run 'gittrack fsck' to see what is damaged") from None


def _is_deep(data: bytes, loader: Any) -> bool:
    """Whether something is nested so deeply that libyaml would overflow the stack, and with it end this process."""
    if data.count(b"[") + data.count(b"{") <= _DEEP and not _INDENTED.search(data):
        return False
    import yaml

    depth = 0
    for event in yaml.parse(data, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEP:
            return True
    return False


def _environment_yaml(environment: Environment) -> bytes:
    return to_yaml(environment.to_dict())


def _metrics_json(metrics: Mapping[str, float]) -> bytes:
    import orjson

    nested = unflatten({key: strict(value) for key, value in metrics.items()}, "/")
    return orjson.dumps(nested, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read_record_files(run: bytes, params: bytes, metrics: bytes, what: str) -> RunRecord:
    """The record from `run.yaml`, `params.yaml` and `metrics.json`."""
    import orjson

    plain, nested = (
        from_yaml(run, f"run.yaml of {what}"),
        from_yaml(params, f"params.yaml of {what}"),
    )
    if not isinstance(plain, dict) or not isinstance(nested, dict | None):
        raise CorruptRecord(f"the record of {what} is not a mapping; run 'gittrack fsck' to see what is damaged")
    try:
        lasts = flat_metrics(orjson.loads(metrics))
    except (ValueError, AttributeError, TypeError) as error:
        raise CorruptRecord(f"metrics.json of {what} cannot be read ({error}); run 'gittrack fsck'") from None
    return record_from_dict(plain, flatten(nested or {}), lasts)


# --- histories


def thin(history: History, rows: int) -> History:
    """At most `rows` points that keep the first, the last, and in every stretch the lowest and the highest."""
    count = len(history)
    if count <= rows:
        return history
    stretches = (rows - 2) // 2
    kept = {0, count - 1}
    values = history.values
    for number in range(stretches):
        start, stop = number * count // stretches, (number + 1) * count // stretches
        piece = values[start:stop]
        # NaN equals nothing and is neither low nor high; a stretch of nothing else is kept by its ends.
        numbers = piece if sum(piece) == sum(piece) else [value for value in piece if value == value]
        if numbers:
            kept.update((start + piece.index(min(numbers)), start + piece.index(max(numbers))))
        else:
            kept.update((start, stop - 1))
    chosen = sorted(kept)
    thinned = History(history.key)
    thinned.steps.extend(history.steps[at] for at in chosen)
    thinned.values.extend(values[at] for at in chosen)
    thinned.times.extend(history.times[at] for at in chosen)
    if history.attempts:
        thinned.attempts.extend(history.attempts[at] for at in chosen)
    return thinned


def to_tsv(history: History) -> bytes:
    """Columns step, value, time, and attempt when the run was resumed; values as Python writes them, round-trip exact."""
    rows = zip(history.steps, history.values, history.times, strict=True)
    if history.attempts:
        body = "".join(
            f"{step}\t{value!r}\t{time:.6f}\t{attempt}\n"
            for (step, value, time), attempt in zip(rows, history.attempts, strict=True)
        )
        return f"step\tvalue\ttime\tattempt\n{body}".encode("ascii")
    body = "".join(f"{step}\t{value!r}\t{time:.6f}\n" for step, value, time in rows)
    return f"step\tvalue\ttime\n{body}".encode("ascii")


def from_tsv(data: bytes, key: str) -> History:
    try:
        header, _, body = data.decode("ascii").partition("\n")
        names = header.split("\t")
        if names[:3] != ["step", "value", "time"]:
            raise ValueError(f"unexpected columns {header!r}")
        # Column by column: a report reads a million points.
        cells = body.removesuffix("\n").replace("\n", "\t").split("\t") if body else []
        if len(cells) != len(names) * (body.count("\n") + (not body.endswith("\n") and bool(body))):
            raise ValueError("a line has other columns than the first")
        columns = [cells[at :: len(names)] for at in range(len(names))]
        attempts = array("i", map(int, columns[3])) if len(names) > 3 else array("i")
        return History(
            key,
            array("q", map(int, columns[0])),
            array("d", map(float, columns[1])),
            array("d", map(float, columns[2])),
            attempts,
        )
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise CorruptRecord(f"the history of {key!r} cannot be read ({error}); run 'gittrack fsck'") from None


def to_parquet(histories: Mapping[str, History]) -> bytes:
    """All points of all metrics: key, step, value, time, and attempt when the run was resumed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = [one for one in histories.values() if len(one)]
    keys = pa.DictionaryArray.from_arrays(
        pa.concat_arrays([pa.repeat(pa.scalar(at, pa.int32()), len(one)) for at, one in enumerate(ordered)]),
        pa.array([one.key for one in ordered], pa.string()),
    )

    def column(kind: Any, columns: Sequence[Any]) -> Any:
        # The buffers as they are: a million points would otherwise become a million Python numbers.
        return pa.chunked_array([pa.Array.from_buffers(kind, len(c), [None, pa.py_buffer(c)]) for c in columns], kind)

    columns = {
        "key": keys,
        "step": column(pa.int64(), [one.steps for one in ordered]),
        "value": column(pa.float64(), [one.values for one in ordered]),
        "time": column(pa.float64(), [one.times for one in ordered]),
    }
    encoding = {
        "step": "DELTA_BINARY_PACKED",
        "value": "BYTE_STREAM_SPLIT",
        "time": "BYTE_STREAM_SPLIT",
    }
    if any(one.attempts for one in ordered):
        columns["attempt"] = column(pa.int32(), [one.attempts for one in ordered])
        encoding["attempt"] = "DELTA_BINARY_PACKED"
    out = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        out,
        compression="zstd",
        use_dictionary=["key"],
        column_encoding=encoding,
        write_statistics=True,
    )
    return out.getvalue()


def from_parquet(data: bytes, keys: Sequence[str] | None = None) -> dict[str, History]:
    """Histories by key, of all metrics or of those named."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data), filters=None if keys is None else pc.field("key").isin(list(keys)))
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptRecord(f"history.parquet cannot be read ({error}); run 'gittrack fsck'") from None
    found: dict[str, History] = {}
    column = table.column("key").combine_chunks()
    if not len(column):
        return found
    # Points of one metric lie together, in the order in which they were logged.
    for key in pc.unique(column).to_pylist():
        part = table.filter(pc.equal(column, key))
        history = found[key] = History(key)
        for name, target in (
            ("step", history.steps),
            ("value", history.values),
            ("time", history.times),
        ):
            target.frombytes(memoryview(part.column(name).combine_chunks().buffers()[1])[: 8 * len(part)])
        if "attempt" in table.column_names:
            history.attempts.frombytes(
                memoryview(part.column("attempt").combine_chunks().buffers()[1])[: 4 * len(part)]
            )
    return found
