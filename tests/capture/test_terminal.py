from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.capture.terminal import clean


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"plain\nlines\n", "plain\nlines\n"),
        (b"no newline at the end", "no newline at the end"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        ("grüße 🦦\n".encode(), "grüße 🦦\n"),
        (b"junk \xff\xfe\n", "junk ��\n"),
        (b"bell\x07 nul\x00 del\x7f\n", "bell nul del\n"),
        (b"tab\tstays\n", "tab\tstays\n"),
        # colours, titles, links
        (b"\x1b[1;31mred\x1b[0m \x1b[38;5;12mblue\x1b[m\n", "red blue\n"),
        (b"\x1b]0;a title\x07text\n", "text\n"),
        (b"\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\\n", "link\n"),
        (b"\x1b[?25lhidden cursor\x1b[?25h\n", "hidden cursor\n"),
        (b"\x1b(B\x1b=\x1b>charset\n", "charset\n"),
        (b"cut off \x1b[", "cut off "),
        (b"cut off \x1b", "cut off "),
        (b"\x1b]0;never ends\nnext\n", "\nnext\n"),
        # carriage returns
        (b"1%\r50%\r100%\n", "100%\n"),
        (b"longer\rshort\n", "shortr\n"),
        (b"longer\rshort \n", "short\n"),
        (b"done\r\n", "done\n"),
        (b"done\r\r\n", "done\n"),
        (b"ab\r", "ab"),
        (b"ab\bc\n", "ac\n"),
        (b"\b\bx\n", "x\n"),
        # erasing
        (b"old text\r\x1b[Knew\n", "new\n"),
        (b"old text\r\x1b[2Knew\n", "new\n"),
        (b"old text\x1b[2K\rnew\n", "new\n"),
        (b"abc\x1b[1Dx\x1b[3Cy\n", "abx   y\n"),
        (b"abc\x1b[1Gx\n", "xbc\n"),
        # going up: nested bars, live tables
        (b"a\nb\n\x1b[2A\x1b[2KA\x1b[1B\rB\n", "A\nB\n"),
        (b"a\nb\nc\n\x1b[3A\x1b[Jx\n", "x\n"),
        (b"\x1b[99Atop\n", "top\n"),
        (b"a\n\x1b[0Ab\n", "b\n"),
    ],
)
def test_clean(data: bytes, text: str) -> None:
    assert clean(data) == text


def test_a_progress_bar_comes_down_to_its_last_state() -> None:
    tqdm = pytest.importorskip("tqdm")
    out = io.StringIO()
    for _ in tqdm.tqdm(range(100), file=out, ncols=60, mininterval=0, desc="train"):
        pass
    out.write("after\n")
    first, after = clean(out.getvalue().encode()).splitlines()
    assert first.startswith("train: 100%")
    assert after == "after"


def test_nested_progress_bars() -> None:
    tqdm = pytest.importorskip("tqdm")
    out = io.StringIO()
    for _ in tqdm.tqdm(range(3), file=out, ncols=60, mininterval=0, desc="outer"):
        for _ in tqdm.tqdm(range(20), file=out, ncols=60, mininterval=0, desc="inner"):
            pass
    lines = clean(out.getvalue().encode()).splitlines()
    assert len(lines) <= 5
    assert any("outer: 100%" in line for line in lines)


def test_a_live_table() -> None:
    console = pytest.importorskip("rich.console")
    progress = pytest.importorskip("rich.progress")
    out = io.StringIO()
    screen = console.Console(file=out, force_terminal=True, width=80)
    with progress.Progress(console=screen, auto_refresh=False) as bars:
        tasks = [bars.add_task(name, total=10) for name in ("one", "two")]
        for _ in range(10):
            for task in tasks:
                bars.advance(task)
                bars.refresh()
    text = clean(out.getvalue().encode())
    assert text.count("one") == text.count("two") == 1
    assert text.count("100%") == 2


@given(st.binary())
def test_any_bytes_are_taken(data: bytes) -> None:
    clean(data).encode("utf-8")


PIECES = [b"a", b"\r", b"\n", b"\b", b"\x1b[A", b"\x1b[B", b"\x1b[K", b"\x1b[2K", b"\x1b[J"]
PIECES += [b"\x1b[9999C", b"\x1b[9999G", b"\x1b[9D", b"\x1b[", b"\x1b", b"\x1b]", b"xyz", b"\xff"]


@given(st.lists(st.sampled_from(PIECES)))
def test_any_sequence_of_moves_is_taken(pieces: list[bytes]) -> None:
    text = clean(b"".join(pieces))
    assert "\x1b" not in text
    assert "\r" not in text


@pytest.mark.parametrize("shift", range(2))
@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_anything_is_linear(piece: bytes, shift: int) -> None:
    """Anything quadratic would take hours here."""
    other = [b"", b"\x1b[9999Gx"][shift]
    clean(b"y" * 300_000 + (piece + other) * (300_000 // len(piece + other)))


def test_plain_text_is_only_decoded() -> None:
    assert clean(b"x\n" * 500_000) == "x\n" * 500_000
