"""A review as Markdown, as GitHub and GitLab show it; pure. Whatever people or programs named is shown and never obeyed."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

from gittrack.compare.align import ABSENT
from gittrack.compare.diff import MetricRow, Row
from gittrack.report.compared import sample_text
from gittrack.report.numbers import column, counted, exact
from gittrack.report.text import escape, fit
from gittrack.review.curves import CommonCurve, Curves, common
from gittrack.review.headline import headline, in_a_line
from gittrack.review.review import Review, Section
from gittrack.review.sides import Side

SIGNS = {"improved": "✅", "regressed": "❌", "mixed": "⚠️", "equal": "🟰", "undecided": "❔", "new": "🌱"}
# What no host makes anything else of: words, numbers and usual signs. Letters and digits mixed may be the name of a commit, which
# hosts make a link of, or of an issue (GH-7); with a dot or a slash it may be an address.
_WORD = r"(?![a-f]{7})[A-Za-z]+(?:['-][A-Za-z]+)*"
_NUMBER = r"[+-]?[0-9]{1,6}(?:[.,][0-9]{1,6})?%?"
_PLAIN = re.compile(rf"""[('"]*(?:{_WORD}|{_NUMBER}|)[)'".,:;]*|[=±→–%]""")
# A command in a sentence, between spaces: two code spans that touch each other would be none.
_QUOTED = re.compile(r"(?<![^ ])'([^']+)'(?=[.,:;)]*(?: |$))")
# All that an address may hold but brackets, which could end it.
_ADDRESS = ":/?#@!$&'*+,;=%~"
_WIDE = 60
_ROWS = 15
_HIGHEST, _LOWEST = 1e15, 1e-15


def marker(key: str) -> str:
    """The line by which a comment is found again; `key` tells several reports of one pull request apart."""
    return f"<!-- gittrack report {re.sub(r'[^A-Za-z0-9._-]', '_', key)} -->"


def as_markdown(
    review: Review,
    curves: Mapping[str, Sequence[Curves]],
    *,
    images: Mapping[str, str] | None = None,
    key: str = "default",
    gate: bool = False,
) -> str:
    """The whole report; `curves`, and `images` as addresses of pictures, by experiment; `gate`: one was asked for."""
    told = in_a_line(headline(review), "**{}**".format, code)
    lines = [marker(key), f"### gittrack: {SIGNS[review.word]} {told}", ""]
    if review.refused:
        who = "The gate says no" if gate else "A gate would say no"
        lines += [f"**{who}:** {sentence(reason)}  " for reason in review.refused]
        lines.append("")
    for section in review.shown:
        lines += _section(section, len(review.sections) > 1, curves.get(section.pair.experiment, ()))
        address = (images or {}).get(section.pair.experiment)
        if address:
            lines += [f"![Learning curves]({quote(address, safe=_ADDRESS)})", ""]
    rest = len(review.sections) - len(review.shown)
    if rest:
        lines += [f"{counted(rest, 'more experiment')} ran too; `gittrack report --json` has all.", ""]
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
    # At the beginning of a line: elsewhere it is a name, and a name that is cut could mean something.
    while len(kept) + len(note) > room and "\n<details>" in kept:
        kept = kept[: kept.rindex("\n<details>") + 1]
    if len(kept) + len(note) > room:
        kept = kept[: room - len(note)].rpartition("\n")[0]
    return kept + note


def code(text: str) -> str:
    """Text from outside as code in one line, shortened; what has a meaning in Markdown or HTML loses it."""
    return _span(fit(escape(text), _WIDE))


def cell(text: str) -> str:
    """The same in a table, which a bar would end even there."""
    return code(text).replace("|", "\\|")


def sentence(text: str) -> str:
    """Words that may hold names from outside: what is not plainly words and numbers becomes code."""
    found = _QUOTED.split(escape(text))
    return "".join(_span(part) if at % 2 else _words(part) for at, part in enumerate(found))


def _words(text: str) -> str:
    parts: list[str] = []
    for plain, words in groupby(text.split(" "), lambda word: _PLAIN.fullmatch(word) is not None):
        together = " ".join(words)
        name = together.rstrip(".,:;")
        parts.append(together if plain or not name else f"{_span(name)}{together[len(name) :]}")
    return " ".join(parts)


def _span(text: str) -> str:
    """A code span, in which nothing has a meaning but a run of backticks as long as the one that opened it (CommonMark 6.1)."""
    if not text:
        return "<code></code>"
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    # One space on both sides is taken away, from text that is not all spaces.
    padded = text.strip(" ") and (text[0] + text[-1] == "  " or "`" in (text[0], text[-1]))
    return f"{fence} {text} {fence}" if padded else f"{fence}{text}{fence}"


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
            yield f"| {cell(row.key)} | {sample_text(row.b, value)} |"
        yield ""
        return
    yield from ("| metric | base | head | Δ | Δ % | |", "|---|---:|---:|---:|---:|---|")
    # What has a goal stands first, and all of it is shown.
    shown = [row for row in rows if row.goal is not None or row.differs]
    shown = shown[: max(2 * _ROWS, sum(row.goal is not None for row in rows))]
    for row in shown:
        a, b = column([None if one is None else one.mean for one in (row.a, row.b)])
        arrow = "" if not row.delta else "↑ " if row.delta > 0 else "↓ "
        delta = "" if row.delta is None else f"{arrow}{row.delta:+.4g}" if row.delta else "0"
        percent = "" if row.delta_pct is None or not row.delta else f"{row.delta_pct:+.1f} %"
        gate = " 🚪" if row.key in section.gates else ""
        cells = (
            cell(row.key) + gate,
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
        yield f"| {cell(row.key)} | {_value(row.a)} | {_value(row.b)} |"
    if len(rows) > _ROWS:
        yield f"| and {len(rows) - _ROWS:,} more | | |"
    yield ""


def _value(value: Any) -> str:
    return "–" if value is ABSENT else cell(exact(value))


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
    if high - low < _LOWEST:
        return
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
    """A plain decimal: Mermaid reads no exponents, which is why there is a highest and a lowest that it is given."""
    span = max(among) - min(among) or max(map(abs, among)) or 1.0
    digits = min(20, max(0, 4 - math.floor(math.log10(span))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
