"""What a host makes of names and sentences from outside: text, whatever they hold."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st

from gittrack.report.text import escape, fit
from gittrack.review.curves import CommonCurve
from gittrack.review.markdown import _chart, cell, code, sentence, within

HOSTILE = [
    "a|b",
    "a\\|b",
    "a\\\\|b",
    "|",
    "\\",
    "a\\",
    "`",
    "`a`",
    "``a`",
    " a ",
    "  ",
    " `",
    "a`|`b",
    "*a* _b_ ~~c~~ **d**",
    "<b>x</b>",
    "<!-- x",
    "</details>",
    "<details>",
    "[a](http://x.example)",
    "![a](http://x.example/y.png)",
    "www.evil.example/login",
    "https://evil.example",
    "mailto:a@b.example",
    "a@b.example",
    "xmpp:a@b.example",
    "@octocat",
    "see:@octocat",
    "#181",
    "&#35;181",
    "&#64;octocat",
    "&amp;",
    "GH-181",
    "octo/digits#181",
    "!7",
    "~bug",
    "$x$",
    ":tada:",
    "deadbeef",
    "4a94ddf2",
    "1234567",
    "/close",
    "- a",
    "1. a",
    "# a",
    "a\nb\r\n\n# c",
    "🚀 é",
    "x@('cmd') 'a`b'",
    "x@\u00a0'cmd' y",
    "'a'.@b",
    "'a' 'b' @c'd'",
    "",
]


class Rendered(HTMLParser):
    """The elements, all text, and what of it stands outside code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.bare = ""
        self.codes: list[str] = []
        self.cells = 0
        self._inside = False
        self.feed(github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "code":
            self._inside = True
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "code"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.codes[-1] += data
        else:
            self.bare += data


texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from([*HOSTILE, "`", "``", "|", "\\", "'", " ", "a", ".", "("]), max_size=6).map("".join),
    st.lists(st.sampled_from([*HOSTILE, "plain", "(words)", "3.5"]), max_size=6).map(" ".join),
)


def as_name(text: str) -> None:
    shown = Rendered(f"- before {code(text)}: after")
    assert shown.tags == ["ul", "li", "code"]
    assert shown.codes == [fit(escape(text), 60)]
    row = Rendered(f"| a | b |\n|---|---|\n| {cell(text)} 🚪 | {cell(text)} |\n")
    assert row.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "code", "td", "code"]
    assert row.codes == [fit(escape(text), 60)] * 2


def as_sentence(text: str) -> None:
    shown = Rendered(f"**Why:** {sentence(text)}  ")
    assert set(shown.tags) <= {"p", "strong", "code"}
    # All of it is there, and what is not in code is nothing but words and numbers.
    assert shown.text.replace("'", "").split() == f"Why: {escape(text)}".replace("'", "").split()
    assert not set(shown.bare) & set("@#<>[]*_`~$!&|\\/^")
    assert not any(len(word) >= 7 and any(map(str.isdigit, word)) and word.isalnum() for word in shown.bare.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_outside_means_anything(text: str) -> None:
    as_name(text)
    as_sentence(text)
    as_sentence(f"the head read {text}, and '{text}' too: {text}.")


@given(texts)
def test_no_name_means_anything(text: str) -> None:
    as_name(text)


@given(texts)
def test_no_sentence_means_anything(text: str) -> None:
    as_sentence(text)


@pytest.mark.parametrize(
    "text", ["@octocat", "#181", "&#35;181", "www.evil.example", "GH-181", "deadbeef", "a@b.example"]
)
def test_what_hosts_make_links_of_stands_in_code(text: str) -> None:
    """More than the renderer here does, which knows no people, issues and commits."""
    assert Rendered(sentence(f"words {text}: more")).codes == [text]


def test_a_sentence_of_ours_stays_one() -> None:
    said = "paired t, the same seeds on both sides: p = 0.0001 or less, n = 3 (within ± 0.002; some 1,200 repeats)"
    assert sentence(said) == said
    said = "of 2 configurations of the head this is the best; 'gittrack run --seeds 5 -- ...' makes repeats"
    assert sentence(said) == said.replace("'", "`")


def test_what_is_shortened_is_cut_between_lines_and_never_in_a_name() -> None:
    name = code("[click](http://x.example) <details>")
    text = f"### {name}\n\n" + f"- {name}\n" * 50 + f"\n<details><summary>x</summary>\n\n{'much ' * 40}\n\n</details>\n"
    shorter = within(text, len(text) - 30)
    assert "much" not in shorter
    assert shorter.count(name) == 51
    shorter = within(text, 1000)
    assert len(shorter) <= 1000
    assert "a" not in Rendered(shorter).tags
    assert "_Shortened" in shorter


@pytest.mark.parametrize("size", [1e-30, 1e-16, 1e16, 1e300])
def test_a_chart_that_mermaid_could_not_read_is_left_out(size: float) -> None:
    assert list(_chart(CommonCurve("loss", (0.0, 1.0), (size, 2 * size), (size, size), (1, 1)))) == []
    assert list(_chart(CommonCurve("loss", (0.0, 1.0), None, (size, size), (0, 1)))) == []


@pytest.mark.parametrize("size", [1e-13, 1e-3, 1.0, 1e14])
def test_a_chart_has_two_ends(size: float) -> None:
    for line in ((size, 2 * size), (size, size)):
        lines = list(_chart(CommonCurve("loss", (0.0, 1.0), None, line, (0, 1))))
        (axis,) = (one for one in lines if "y-axis" in one)
        low, high = (float(one) for one in axis.partition('"loss"')[2].split("-->"))
        assert low < high
        assert low == pytest.approx(min(line), rel=0.1)
