from __future__ import annotations

import csv
import io
import re

from gittrack.report.table import Column, as_csv, as_markdown, as_text
from gittrack.report.text import width


def table(*columns: Column, room: int | None = None) -> str:
    return "\n".join(as_text(columns, room=room))


def test_text_is_left_numbers_meet_at_their_points() -> None:
    shown = table(
        Column("name", ("a", "longer", "b")),
        Column("lr", ("0.1", "1e-05", "10"), align="point"),
        Column("time", ("1s", "12s", ""), align="right"),
    )
    assert shown == ("name       lr  time\na         0.1    1s\nlonger  1e-05   12s\nb        10")


def test_wide_characters_keep_the_columns_straight() -> None:
    shown = table(Column("name", ("東京", "abc", "👩\u200d🔬")), Column("x", ("1", "2", "3")))
    positions = {width(line.rpartition("  ")[0]) for line in shown.split("\n")[1:]}
    assert shown.split("\n")[1] == "東京  1"
    assert max(positions) <= 4


def test_nothing_in_a_cell_reaches_the_terminal_as_a_command() -> None:
    shown = table(Column("a\x1b]0;x\x07", ("\x1b[31mred", "two\nlines")))
    assert "\x1b" not in shown
    assert shown.count("\n") == 2


def test_what_does_not_fit_is_shortened_then_left_out_by_rank() -> None:
    columns = [
        Column("id", ("12345678",), shrink=False),
        Column("name", ("a-very-long-name-of-a-run-that-goes-on",)),
        Column("first", ("0.123456",), rank=1, shrink=False),
        Column("second", ("0.123456",), rank=2, shrink=False),
    ]
    assert table(*columns, room=70).split("\n")[0].split() == ["id", "name", "first", "second"]
    squeezed = table(*columns, room=55)
    assert "a-very-long-…that-goes-on" in squeezed
    assert "second" in squeezed
    assert "second" not in table(*columns, room=44)
    assert "first" in table(*columns, room=44)
    narrow = table(*columns, room=20)
    assert narrow.split("\n")[0].split() == ["id", "name"]
    assert max(map(width, narrow.split("\n"))) <= 20


def test_a_title_counts_too() -> None:
    assert table(Column("a long title", ("x",)), room=10) == "a lon…itle\nx"


def test_no_titles_no_heading() -> None:
    assert table(Column("", ("a", "b")), Column("", ("1", "2"))) == "a  1\nb  2"


def test_an_empty_table_has_its_heading() -> None:
    assert table(Column("name", ()), Column("lr", ())) == "name  lr"
    assert as_text([]) == []


def styled(text: str, name: str) -> str:
    return f"\x1b[{ {'title': 1, 'good': 32}[name] }m{text}\x1b[0m"


def test_styles_do_not_move_anything() -> None:
    columns = [
        Column("s", ("ok", "東京", "bad", ""), styles=("good", "good", "", "good")),
        Column("", ("0.5", "10", "", "2"), align="point", styles=("good", "", "good", "")),
        Column("t", ("1", "2", "3", "4")),
    ]
    painted = as_text(columns, paint=styled)
    assert painted[1] == "\x1b[32mok\x1b[0m     \x1b[32m0.5\x1b[0m  1"
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in painted] == as_text(columns)
    assert "\n".join(painted).count("\x1b") == 2 * 5, "nothing is painted that is not there"


def test_what_looks_like_a_number_stays_as_it_is() -> None:
    assert table(Column("id", ("1e5", "0010", "1_000", " x "))) == "id\n1e5\n0010\n1_000\n x"
    assert table(Column("a", ("True", "None", "")), Column("b", ("", "", ""))) == "a     b\nTrue\nNone\n"


def test_csv_has_exact_values_and_survives_anything() -> None:
    columns = [
        Column("name", ("a,b", 'say "hi"', "two\nlines")),
        Column("loss", ("0.1", "0.2", "nan"), exact=("0.1000001", "0.2", "nan")),
    ]
    rows = list(csv.reader(io.StringIO(as_csv(columns))))
    assert rows == [
        ["name", "loss"],
        ["a,b", "0.1000001"],
        ['say "hi"', "0.2"],
        ["two\nlines", "nan"],
    ]


def test_markdown_says_what_it_should_and_no_more() -> None:
    shown = as_markdown(
        [
            Column("key", ("a|b", "`code` <b>", "_x_ top_1 *y*", "a\nb")),
            Column("n", ("1", "2", "3", "4"), align="right"),
        ]
    )
    assert shown == (
        "| key               |   n |\n"
        "|:------------------|----:|\n"
        "| a\\|b              |   1 |\n"
        "| \\`code\\` \\<b>     |   2 |\n"
        "| \\_x\\_ top_1 \\*y\\* |   3 |\n"
        "| a\\\\nb             |   4 |\n"
    )


def test_an_empty_table_in_markdown_has_its_heading() -> None:
    assert as_markdown([Column("name", ()), Column("lr", ())]).split("\n")[0].split() == ["|", "name", "|", "lr", "|"]
