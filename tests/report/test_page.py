from __future__ import annotations

import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gittrack.errors import MissingExtra
from gittrack.report.page import curves_page, svg
from gittrack.report.picture import curves_picture
from gittrack.report.series import Series

LINE = Series("net <1> & 'co'", (0.0, 1.0, 2.0, 3.0), (0.1, 0.5, math.nan, 0.4))


def test_a_page_needs_nothing_from_elsewhere() -> None:
    page = curves_page({"val/acc": [LINE], "loss": [LINE]}, "curves")
    assert page.count("<svg") == 2
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')>\s]+)""", page)
    assert links == []
    assert "<script" not in page
    assert "net &lt;1&gt; &amp; &#x27;co&#x27;" in page


def test_the_svg_is_well_formed_and_leaves_gaps() -> None:
    root = ET.fromstring(svg([LINE], "val/acc"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}polyline")) == 1
    assert len(root.findall(f"{space}circle")) == 1, "a point between gaps is a dot"


def test_hostile_names_stay_text() -> None:
    page = curves_page({"</h2><script>alert(1)</script>\x1b": [LINE]}, "</title><script>")
    assert "<script" not in page
    assert "\x1b" not in page


def test_nothing_to_draw() -> None:
    assert "no finite points" in svg([Series("a", (0.0,), (math.inf,))])


def test_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curves_picture({"val/acc $x$": [LINE], "loss": [LINE, LINE]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install matplotlib"):
        curves_picture({"loss": [LINE]}, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
