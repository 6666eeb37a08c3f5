"""A review as one HTML file that needs nothing else: verdict, tables, curves, parallel coordinates, environment, lineage. Pure."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gittrack.compare.align import ABSENT, flatten
from gittrack.compare.diff import MetricRow
from gittrack.domain.input import Input
from gittrack.errors import CorruptRecord
from gittrack.report import page
from gittrack.report.compared import sample_text
from gittrack.report.inputs import kept_by
from gittrack.report.lanes import Parallel
from gittrack.report.numbers import column, counted, exact, size
from gittrack.report.series import Curve
from gittrack.report.text import escape
from gittrack.review.curves import Curves
from gittrack.review.headline import headline, in_a_line
from gittrack.review.markdown import again
from gittrack.review.review import Review, Section
from gittrack.review.sides import Side
from gittrack.run import Run
from gittrack.values import dataclass

_STYLE = f"<style>\n{Path(__file__).with_name('page.css').read_text(encoding='utf-8')}</style>"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is drawn of an experiment: curves of both sides, and all runs beside each other, where their params vary."""

    curves: Sequence[Curves]
    parallel: Parallel | None


def as_page(review: Review, pictures: Mapping[str, Pictures], *, gate: bool = False) -> str:
    """The whole file; `pictures` by experiment; `gate`: one was asked for."""
    told = in_a_line(headline(review), lambda word: f'<strong class="{word}">{word}</strong>', _code_text)
    parts = [_STYLE, '<div class="review">', f'<p class="headline">{told}</p>']
    who = "The gate says no" if gate else "A gate would say no"
    parts += [f'<p class="refused">{who}: {_text(reason)}</p>' for reason in review.refused]
    for section in review.shown:
        parts += _section(section, pictures.get(section.pair.experiment))
    parts += _code(review)
    parts.append("</div>")
    return page.page(f"{review.span.fork[:8]}..{review.span.tip[:8]}", *parts)


def _text(text: str) -> str:
    return html.escape(escape(text))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=number' if at in numbers else ''}>{cell}</td>" for at, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _section(section: Section, pictures: Pictures | None) -> Iterator[str]:
    a, b = section.pair.a, section.pair.b
    yield f"<h2 class=part>{_text(section.pair.experiment)}</h2>"
    yield _table(
        ("", "run", "commit", "runs", "author"),
        [_side(called, side) for called, side in (("base", a), ("head", b)) if side is not None],
    )
    yield from (f'<p class="warning">{_text(warning)}</p>' for warning in section.warnings)
    yield from _metrics(section.metrics, section.gates)
    for title, rows in (("Params", section.params), ("Data", section.data), ("Environment", section.environment)):
        if rows:
            yield f"<h3>{title} that changed</h3>"
            yield _table(
                ("", "base", "head"), [(_code_text(row.key), _value(row.a), _value(row.b)) for row in rows[:_SHOWN]]
            )
            yield from _rest(len(rows))
    if pictures is not None and pictures.curves:
        charts: dict[str, list[Curve]] = {one.key: one.chart() for one in pictures.curves}
        yield page.curves(charts)
    if pictures is not None and pictures.parallel is not None:
        yield page.parallel(pictures.parallel)
    yield from _lineage(b)


def _side(called: str, side: Side) -> tuple[str, ...]:
    return (
        called,
        f"{_code_text(side.run.name)} {side.run.id[:8]}",
        side.commit[:8],
        counted(len(side.runs), "run"),
        _text(side.run.author),
    )


def _metrics(rows: Sequence[MetricRow], gates: frozenset[str]) -> Iterator[str]:
    if not rows:
        yield "<p>The runs measured nothing that is judged.</p>"
        return
    cells = []
    for row in rows[:_SHOWN]:
        a, b = column([None if one is None else one.mean for one in (row.a, row.b)])
        verdict = "" if row.goal is None else row.judged.verdict
        cells.append(
            (
                _code_text(row.key) + (" gate" if row.key in gates else ""),
                sample_text(row.a, a, "–"),
                sample_text(row.b, b, "–"),
                "" if row.delta is None else f"{row.delta:+.4g}" if row.delta else "0",
                "" if row.delta_pct is None or not row.delta else f"{row.delta_pct:+.1f} %",
                f'<span class="{verdict}" title="{_text(row.judged.reason)}">{verdict}</span>',
                _text(row.judged.reason) if verdict else "",
            )
        )
    yield _table(("metric", "base", "head", "Δ", "Δ %", "verdict", "why"), cells, frozenset({1, 2, 3, 4}))
    yield from _rest(len(rows))


def _rest(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"<p>and {count - _SHOWN:,} more</p>"


def _code_text(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _value(value: Any) -> str:
    return "–" if value is ABSENT else _code_text(exact(value))


def _lineage(side: Side) -> Iterator[str]:
    """What the head's run came from and what came of it, how it is made again, and in what it ran."""
    run = side.run
    yield "<h3>Lineage of the head</h3>"
    yield from _readable("what it read", lambda: _read(run))
    if run.parent:
        yield f"<p>Part of run {_code_text(run.parent[:8])}.</p>"
    yield from _readable("what it made", lambda: _made(run))
    yield f"<pre>{html.escape(chr(10).join(again(side)))}</pre>"
    yield from _readable("in what it ran", lambda: _environment(run))


def _readable(what: str, part: Callable[[], Iterator[str]]) -> list[str]:
    """A part of a record, or that it cannot be read: other people write records, and one that is odd keeps nobody from the rest."""
    try:
        return list(part())
    except (CorruptRecord, TypeError, ValueError, AttributeError) as error:
        return [f'<p class="warning">The record does not say {what}: {_text(str(error))}</p>']


def _read(run: Run) -> Iterator[str]:
    rows = [
        (_code_text(one.path), _text((one.md5 or one.version or one.etag or "")[:12]), _text(kept_by(one)))
        for one in (Input.from_dict(plain) for plain in run.record.inputs)
    ]
    if rows:
        yield _table(("read", "content", ""), rows)


def _made(run: Run) -> Iterator[str]:
    rows = [
        (_code_text(one.called), _text(one.kind or ""), size(one.size), _text(one.md5[:12])) for one in run.artifacts
    ]
    if rows:
        yield _table(("made", "kind", "size", "content"), rows)


def _environment(run: Run) -> Iterator[str]:
    environment = run.environment.to_dict()
    if environment:
        rows = [(_code_text(key), _code_text(exact(value))) for key, value in flatten(environment).items()]
        yield f"<details><summary>Environment</summary>{_table(('', ''), rows[: 5 * _SHOWN])}</details>"


def _code(review: Review) -> Iterator[str]:
    code = review.code
    if not code.files:
        return
    yield f"<h2 class=part>{counted(len(code.files), 'file')} changed in {counted(len(review.span.head), 'commit')}</h2>"
    yield _table(("", "commit"), [(one.id[:8], _text(one.subject)) for one in code.commits[:_SHOWN]])
    yield _table(("", "file"), [(one.status, _code_text(one.path)) for one in code.files[:_SHOWN]])
    yield from _rest(len(code.files))
