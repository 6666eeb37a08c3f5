from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from gittrack.domain.run import RunState, Status
from gittrack.errors import MissingExtra, UsageError
from gittrack.report import picture
from gittrack.report.boxes import boxes
from gittrack.report.keys import Key
from gittrack.report.lanes import parallel, scatter
from gittrack.report.series import Band, Curve, Series
from gittrack.report.surface import surface

ODD = "_val $x$ 🦦\n<b>|`"
LINE = Series(ODD, (0.0, 1.0, 2.0, 3.0), (0.1, 0.5, math.nan, -0.4))
BAND = Band(LINE.xs, (0.0, 0.4, math.nan, -1.0), (0.2, math.inf, 0.1, 0.0), 3)
LR, DEPTH, ACC = Key("params", "lr"), Key("params", "depth"), Key("metrics", "acc")


def state(at: int, **params: Any) -> RunState:
    acc = math.nan if at == 3 else at / 10
    return RunState(f"{at:032x}", f"{ODD}{at}", "digits", Status.FINISHED, 0.0, params=params, metrics={"acc": acc})


RUNS = [state(at, lr=10.0 ** -(at % 4), depth=at // 2, opt=ODD if at % 2 else "sgd") for at in range(8)]


def pictures() -> dict[str, picture.Draw]:
    return {
        "curves": picture.curves(
            {
                ODD: [Curve(LINE, LINE, BAND), *[Curve(LINE)] * 40],
                "one": [Curve(LINE)],
                "none": [Curve(Series("a", (0.0,), (math.inf,)))],
            }
        ),
        "curves on a logarithmic axis": picture.curves({ODD: [Curve(LINE, LINE, BAND)]}, x=ODD, log=["x", "y"]),
        "scatter": picture.scatter(scatter(RUNS, LR, ACC, Key("params", "opt"))),
        "box": picture.box(boxes(RUNS, ACC, Key("params", "opt")) or pytest.fail("there are numbers")),
        "contour": picture.contour(surface(RUNS, LR, DEPTH, ACC)),
        "parallel": picture.parallel(parallel(RUNS, [LR, DEPTH, Key("params", "opt")], ACC)),
    }


@pytest.mark.parametrize("kind", list(pictures()))
def test_any_picture_as_png_and_svg(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw = pictures()[kind]
    picture.save(draw, tmp_path / "it.png", "png")
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    for name in ("one.svg", "two.svg"):
        picture.save(draw, tmp_path / name, "svg")
    drawn = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "<svg" in drawn
    assert "missing" in drawn if kind == "parallel" else "<text" in drawn
    assert drawn == (tmp_path / "two.svg").read_text(encoding="utf-8"), "the same runs make the same bytes"


def test_more_charts_than_anybody_looks_at(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(UsageError, match="at most 40 metrics"):
        picture.curves_picture({f"metric-{at}": [Curve(LINE)] for at in range(41)}, tmp_path / "high.png")


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"SVG needs matplotlib: pip install matplotlib"):
        picture.save(picture.curves({"loss": [Curve(LINE)]}), tmp_path / "curves.svg", "svg")
    assert not (tmp_path / "curves.svg").exists()
