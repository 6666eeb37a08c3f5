"""A review as Markdown, as GitHub and GitLab show it; pure. Whatever people or programs named is shown and never obeyed."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gittrack.compare.align import ABSENT
from gittrack.compare.diff import MetricRow, Row
from gittrack.compare.verdict import p_text
from gittrack.report.compared import sample_text
from gittrack.report.numbers import column, counted, exact
from gittrack.report.text import escape, fit
from gittrack.review.curves import CommonCurve, Curves, common
from gittrack.review.review import Review, Section
from gittrack.review.sides import Side

SIGNS = {"improved": "✅", "regressed": "❌", "mixed": "⚠️", "equal": "🟰", "undecided": "❔", "new": "🌱"}
_PLAIN = re.compile(r"[A-Za-z0-9_./ +=,:-]+")
_MARKED = re.compile(r"[^A-Za-z0-9 ]")
_WIDE = 60
_ROWS = 15
_NAMED = 3
_HIGHEST = 1e15


def marker(key: str) -> str:
    """The line by which a comment is found again; `key` tells several reports of one pull request apart."""
    return f"<!-- gittrack report {re.sub(r'[^A-Za-z0-9._-]', '_', key)} -->"


def as_markdown(
    review: Review,
    curves: Mapping[str, Sequence[Curves]],
    *,
    images: Mapping[str, str] | None = None,
    key: str = "default",
) -> str:
    """The whole report; `curves` by experiment, and `images` by experiment as addresses of pictures of them."""
    lines = [marker(key), f"### gittrack: {SIGNS[review.word]} {headline(review, code)}", ""]
    if review.refused:
        lines += [f"**The gate says no:** {sentence(reason)}  " for reason in review.refused]
        lines.append("")
    for section in review.sections:
        lines += _section(section, len(review.sections) > 1, curves.get(section.pair.experiment, ()))
        address = (images or {}).get(section.pair.experiment)
        if address:
            lines += [f"![Learning curves]({address})", ""]
    lines += _changed_code(review)
    lines += [
        f"<sub>`{review.span.fork[:8]}..{review.span.tip[:8]}`, {counted(len(review.span.head), 'commit')}</sub>",
        "",
    ]
    return "\n".join(lines)


def within(text: str, room: int) -> str:
    """As much of a report as a host takes: what is folded away goes first, then lines from the end."""
    if len(text) <= room:
        return text
    note = "\n\n_Shortened: a comment has no room for more; the job's summary has all._\n"
    kept = text
    while len(kept) + len(note) > room and "<details>" in kept:
        kept = kept[: kept.rindex("<details>")]
    if len(kept) + len(note) > room:
        kept = kept[: room - len(note)].rpartition("\n")[0]
    return kept + note


def code(text: str) -> str:
    """Text from outside as code in one line; what has a meaning in Markdown or HTML loses it."""
    text = fit(escape(text), _WIDE)
    if _PLAIN.fullmatch(text) and text.strip() == text:
        return f"`{text}`"
    # Not between backticks: a table would end at a bar there. A character by its number means nothing but itself.
    return f"<code>{_MARKED.sub(lambda found: f'&#{ord(found[0])};', text)}</code>"


def sentence(text: str) -> str:
    """Words that may hold names from outside, as they are."""
    return _MARKED.sub(lambda found: found[0] if found[0] in ".,:;()'/%±=-" else f"&#{ord(found[0])};", escape(text))


def headline(review: Review, named: Any = lambda text: text) -> str:
    """The verdict in a line: what improved and regressed, and by how much; `named` dresses the name of a metric."""
    if review.word == "new":
        return "**new**: nothing ran before this change to compare it with"
    rows = review.judged
    if not rows:
        return "**undecided**: no goal says which way a metric is better; see `metrics.goals` in the settings"
    parts: list[str] = []
    for verdict in ("regressed", "improved", "undecided", "equal"):
        found = [row for row in rows if row.judged.verdict == verdict]
        if not found or (verdict == "equal" and parts):
            continue
        told = [_told(row, named) for row in found[:_NAMED]]
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        parts.append(f"**{verdict}**: {', '.join(told)}{more}")
    return "; ".join(parts)


def _told(row: MetricRow, named: Any) -> str:
    if row.a is None or row.b is None or row.judged.verdict == "equal":
        return str(named(row.key))
    a, b = column([row.a.mean, row.b.mean])
    tested = row.judged.tested
    chance = f", p = {p_text(tested.p)}" if tested is not None else ""
    percent = "" if row.delta_pct is None else f"{row.delta_pct:+.1f} %"
    told = f"{percent}{chance}".removeprefix(", ")
    return f"{named(row.key)} {a} → {b}" + (f" ({told})" if told else "")


def _section(section: Section, several: bool, curves: Sequence[Curves]) -> Iterator[str]:
    a, b = section.pair.a, section.pair.b
    if several:
        yield from (f"#### {code(section.pair.experiment)}", "")
    sides = [f"base {_side(a)}"] if a is not None else []
    yield from (" · ".join([*sides, f"head {_side(b)}"]), "")
    yield from _metrics(section)
    for title, rows in (("Params", section.params), ("Data", section.data), ("Environment", section.environment)):
        if rows:
            yield from _changes(title, rows)
    if section.warnings:
        yield from (f"- ⚠️ {sentence(warning)}" for warning in section.warnings)
        yield ""
    reasons = [row for row in section.metrics if row.judged.tested is not None]
    if reasons:
        yield from _details(
            "How it was judged", [f"- {code(row.key)}: {sentence(row.judged.reason)}" for row in reasons]
        )
    charts = [text for curve in curves if (at := common(curve)) and (text := "\n".join(_chart(at)))]
    if charts:
        yield from _details("Learning curves", "\n\n".join(charts).split("\n"))
    yield from _details("Run it again", _again(b))


def _side(side: Side) -> str:
    count = counted(len(side.runs), "run")
    return f"{code(side.run.name)} ({side.run.id[:8]}) on {side.commit[:8]}, {count}"


def _metrics(section: Section) -> Iterator[str]:
    rows = section.metrics
    if not rows:
        yield from ("The runs measured nothing that is judged.", "")
        return
    if section.pair.a is None:
        yield from ("| metric | head |", "|---|---:|")
        values = column([None if row.b is None else row.b.mean for row in rows])
        for row, value in zip(rows, values, strict=True):
            yield f"| {code(row.key)} | {sample_text(row.b, value)} |"
        yield ""
        return
    yield from ("| metric | base | head | Δ | Δ % | |", "|---|---:|---:|---:|---:|---|")
    shown = [row for row in rows if row.goal is not None or row.differs][: 2 * _ROWS]
    for row in shown:
        a, b = column([None if one is None else one.mean for one in (row.a, row.b)])
        arrow = "" if not row.delta else "↑ " if row.delta > 0 else "↓ "
        delta = "" if row.delta is None else f"{arrow}{row.delta:+.4g}" if row.delta else "0"
        percent = "" if row.delta_pct is None or not row.delta else f"{row.delta_pct:+.1f} %"
        gate = " 🚪" if row.key in section.gates else ""
        cells = (
            code(row.key) + gate,
            sample_text(row.a, a, "–"),
            sample_text(row.b, b, "–"),
            delta,
            percent,
            _verdict(row),
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
    rest = len(rows) - len(shown)
    if rest:
        yield from (
            f"{counted(rest, 'more metric')} {'is' if rest == 1 else 'are'} not shown: the same on both sides, or without a goal.",
            "",
        )
    if section.gates:
        yield from ("<sub>🚪 gates · mean ± standard deviation (runs)</sub>", "")
    elif any(one is not None and one.n > 1 for row in rows for one in (row.a, row.b)):
        yield from ("<sub>mean ± standard deviation (runs)</sub>", "")


def _verdict(row: MetricRow) -> str:
    if row.goal is None:
        return ""
    return f"{SIGNS[row.judged.verdict]} {row.judged.verdict}"


def _changes(title: str, rows: Sequence[Row]) -> Iterator[str]:
    yield from (f"**{title}**", "", "| | base | head |", "|---|---|---|")
    for row in rows[:_ROWS]:
        yield f"| {code(row.key)} | {_value(row.a)} | {_value(row.b)} |"
    if len(rows) > _ROWS:
        yield f"| and {len(rows) - _ROWS:,} more | | |"
    yield ""


def _value(value: Any) -> str:
    if value is ABSENT:
        return "–"
    return code(exact(value)) if exact(value) else "<code></code>"


def _details(title: str, lines: Sequence[str]) -> Iterator[str]:
    # GitHub reads Markdown inside only after an empty line.
    yield from (f"<details><summary>{title}</summary>", "", *lines, "", "</details>", "")


def again(side: Side) -> tuple[str, str]:
    """The commands that run it again, each in one line, whatever a word of them holds."""
    run = side.run
    words = " ".join(map(shlex.quote, ("gittrack", "run", "-e", run.experiment, "--")))
    place = f"../{run.id[:8]}"
    return (
        f"gittrack fetch && gittrack checkout {run.id[:8]} --worktree {place} && cd {place}",
        escape(f"{words} {run.command}"),
    )


def _again(side: Side) -> list[str]:
    lines = again(side)
    # A fence that a command could close would be none.
    longest = max((len(found) for line in lines for found in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sh", *lines, fence]


def _changed_code(review: Review) -> Iterator[str]:
    files = review.code.files
    if not files:
        return
    shown = [f"- {file.status} {code(file.path)}" for file in files[:_ROWS]]
    if len(files) > _ROWS:
        shown.append(f"- and {len(files) - _ROWS:,} more")
    yield from _details(f"{counted(len(files), 'file')} changed in {counted(len(review.span.head), 'commit')}", shown)


# --- curves, in the language of Mermaid


def _chart(curve: CommonCurve) -> Iterator[str]:
    lines = [one for one in (curve.a, curve.b) if one is not None]
    every = [y for line in lines for y in line]
    low, high = min(every), max(every)
    if max(map(abs, (*every, *curve.xs))) > _HIGHEST:
        return
    if not low < high:
        low, high = low - (abs(low) * 0.05 or 0.5), high + (abs(high) * 0.05 or 0.5)
    counts = curve.counts
    said = f"{counts[1]} of the head" if curve.a is None else f"base ({counts[0]}), then head ({counts[1]})"
    yield from (
        f"{code(curve.key)}: {said}",
        "",
        "```mermaid",
        "xychart-beta",
        f'    x-axis "step" {_decimal(curve.xs[0], curve.xs)} --> {_decimal(curve.xs[-1], curve.xs)}',
        f'    y-axis "{_title(curve.key)}" {_decimal(low, every)} --> {_decimal(high, every)}',
        *(f"    line [{', '.join(_decimal(y, every) for y in line)}]" for line in lines),
        "```",
    )


def _title(key: str) -> str:
    """Mermaid's quotes know no escapes: what could end them, or begin something, is left out."""
    return re.sub(r"[^A-Za-z0-9_./ +-]", "_", key)[:40] or "value"


def _decimal(value: float, among: Sequence[float]) -> str:
    """A plain decimal: Mermaid reads no exponents."""
    span = max(among) - min(among) or max(map(abs, among)) or 1.0
    digits = min(20, max(0, 4 - math.floor(math.log10(span))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
