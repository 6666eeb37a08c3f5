from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from gittrack.domain.run import RunState, Status
from gittrack.report import page
from gittrack.report.boxes import boxes
from gittrack.report.keys import Key
from gittrack.report.lanes import parallel, scatter
from gittrack.report.series import Band, Curve, Series
from gittrack.report.surface import surface

LINE = Curve(Series("net <1> & 'co'", (0.0, 1.0, 2.0, 3.0), (0.1, 0.5, math.nan, 0.4)))
HOSTILE = "</h2></script><script>alert(1)</script>\x1b\"'`|\n🦦"
SVG = "{http://www.w3.org/2000/svg}"

LR, DEPTH, OPT, ACC = Key("params", "lr"), Key("params", "depth"), Key("params", "opt"), Key("metrics", "acc")


def state(name: str, acc: float | None, **params: Any) -> RunState:
    metrics = {} if acc is None else {"acc": acc}
    return RunState(name * 32, name, "digits", Status.FINISHED, 0.0, params=params, metrics=metrics)


RUNS = [
    state("a", 0.1, lr=1e-4, depth=1, opt="adam"),
    state("b", 0.2, lr=1e-3, depth=2, opt="sgd"),
    state("c", 0.9, lr=1e-2, depth=1),
    state("d", math.nan, lr=1e-1, depth=2, opt="adam"),
    state("e", 0.6, lr=1e-4, depth=3, opt=HOSTILE),
]


def svgs(fragment: str) -> list[ET.Element]:
    """The pictures; a fragment that is not well-formed fails."""
    found = re.findall(r"<figure.*?</figure>", fragment, flags=re.DOTALL)
    assert found
    return [ET.fromstring(one).find(f"{SVG}svg") or pytest.fail("no picture") for one in found]


def fragments() -> dict[str, str]:
    return {
        "curves": page.curves({HOSTILE: [LINE, Curve(Series(HOSTILE, (0.0,), (1.0,)))], "loss": [LINE]}),
        "scatter": page.scatter(scatter(RUNS, LR, ACC, OPT)),
        "box": page.box(boxes(RUNS, ACC, OPT) or pytest.fail("there are numbers")),
        "contour": page.contour(surface(RUNS, LR, DEPTH, ACC)),
        "parallel": page.parallel(parallel(RUNS, [LR, DEPTH, OPT], ACC)),
    }


@pytest.mark.parametrize("kind", ["curves", "scatter", "box", "contour", "parallel"])
def test_a_fragment_is_well_formed_needs_nothing_and_obeys_nobody(kind: str) -> None:
    fragment = fragments()[kind]
    assert svgs(fragment)
    whole = page.page(HOSTILE, fragment)
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')>\s]+)""", whole)
    assert links == []
    assert "http" not in whole.replace("http://www.w3.org/2000/svg", "")
    assert whole.count("<script") == 1, "ours"
    assert "alert(1)" in html.unescape(whole)
    assert "\x1b" not in whole
    assert not re.search(r"\b(nan|inf|NaN|Infinity)\b", re.sub(r"acc = nan", "", fragment))


def test_a_page_of_curves() -> None:
    whole = page.curves_page({"val/acc": [LINE], "loss": [LINE]}, "curves")
    assert whole.count('<svg class="chart"') == 2
    assert "net &lt;1&gt; &amp; &#x27;co&#x27;" in whole
    assert whole.count(page.STYLE) == whole.count(page.SCRIPT) == 1


def test_a_page_made_elsewhere_keeps_its_own_style() -> None:
    selectors = re.findall(r"^([^{}\n]+)\{", page.STYLE, flags=re.MULTILINE)
    assert len(selectors) > 20
    assert {one.split()[0].split(".")[1] for one in selectors if not one.startswith("@media")} == {"gittrack"}


def test_a_gap_is_left_and_a_point_between_gaps_is_a_dot() -> None:
    (chart,) = svgs(page.curves({"loss": [LINE]}))
    lines = [(one.get("class"), one.get("points")) for one in chart.iter(f"{SVG}polyline")]
    assert [kind for kind, _ in lines] == ["line", "dot line"]
    assert lines[0][1] is not None
    assert lines[0][1].split()[0].startswith("0,")


def test_a_band_and_the_values_before_smoothing_lie_behind_the_line() -> None:
    line = Series("a", (0.0, 1.0), (1.0, 2.0))
    curve = Curve(line, line, Band(line.xs, (0.0, 1.0), (2.0, 3.0), 3))
    fragment = page.curves({"loss": [curve]})
    (chart,) = svgs(fragment)
    (mark,) = (one for one in chart.iter(f"{SVG}g") if one.get("data-label") == "a")
    assert [one.get("class") for one in mark] == ["band", "raw", "line"]
    assert "a: mean of 3, band min to max</button>" in fragment


def test_a_logarithmic_band_goes_down_to_the_edge() -> None:
    xs = (0.0, 1.0)
    curve = Curve(Series("a", xs, (1.0, 2.0)), band=Band(xs, (-1.0, 1.0), (2.0, 3.0), 2))
    (chart,) = svgs(page.curves({"loss": [curve]}, log=["y"]))
    (band,) = chart.iter(f"{SVG}polygon")
    assert band.get("points", "").split()[-1] == "0,100000"


def test_nothing_to_draw() -> None:
    assert "no finite points" in page.curves({"loss": [Curve(Series("a", (0.0,), (math.inf,)))]})
    assert "no run has both" in page.scatter(scatter([state("a", None, lr=1)], LR, ACC or LR))


def test_of_many_lines_every_peak_is_kept_in_a_page_that_stays_small() -> None:
    xs = tuple(map(float, range(2_000)))
    many = [
        Curve(Series(f"run-{at}", xs, tuple(50.0 if x == 777 + at else (x * 7919 + at) % 1 for x in xs)))
        for at in range(60)
    ]
    fragment = page.curves({f"metric-{key}": many for key in range(10)})
    assert len(fragment) < 6_000_000
    for chart in svgs(fragment):
        tops = [one.get("points", "") for one in chart.iter(f"{SVG}polyline")]
        frame = json.loads(chart.get("data-axes", ""))["y"]
        top = round((1 - (50.0 - frame["low"]) / (frame["high"] - frame["low"])) * 100_000)
        assert all(f",{top}" in points for points in tops)


def test_what_is_missing_has_a_lane_of_its_own() -> None:
    (chart,) = svgs(page.parallel(parallel(RUNS, [LR, OPT], ACC)))
    lines = [one for one in chart.iter(f"{SVG}polyline") if one.get("class") == "run"]
    lowest = [[float(place.split(",")[1]) for place in one.get("points", "").split()].count(314.0) for one in lines]
    # c has no optimizer, d a metric that is no number.
    assert lowest == [0, 0, 1, 1, 0]
    assert lines[3].get("style") == "--c:#888888"
    assert "c\nlr = 0.01\nopt = missing\nacc = 0.9" in [one.get("data-label") for one in lines]


def test_boxes_from_four_values_on() -> None:
    few, many = ([state(str(at), at / 10, opt="adam") for at in range(count)] for count in (3, 4))
    drawn = [boxes(some, ACC, OPT) for some in (few, many)]
    found = [svgs(page.box(one or pytest.fail("there are numbers")))[0] for one in drawn]
    kinds = [
        [one.get("class") for one in chart.iter() if one.get("class") in ("box", "dot", "middle")] for chart in found
    ]
    assert kinds == [["middle", *["dot"] * 3], ["box", "box", "box", "middle", *["dot"] * 4]]


# --- in a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVENTS = """
const said = {}, all = (words) => [...document.querySelectorAll(words)];
const at = (chart, kind, x, y) => {
  const rect = chart.getBoundingClientRect(), scale = rect.width / chart.viewBox.baseVal.width;
  chart.setPointerCapture = () => {};  // there is no pointer
  chart.dispatchEvent(new PointerEvent(kind, { clientX: rect.left + x * scale, clientY: rect.top + y * scale, bubbles: true }));
};
"""


def browse(folder: Path, whole: str, script: str) -> Any:
    """What the script has put into `said` when the page has been opened."""
    if CHROMIUM is None:
        pytest.skip("no chromium here")
    end = "document.body.dataset.said = JSON.stringify(said);"
    file = folder / "page.html"
    file.write_text(f"{whole}<script>{EVENTS}{{{script}}}{end}</script>", encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom")
    done = subprocess.run(
        [CHROMIUM, *options, f"file://{file}"], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'data-said="([^"]*)"', done.stdout)
    assert found, f"the script broke off:\n{done.stderr[-2000:]}"
    return json.loads(html.unescape(found[1]))


def test_curves_in_a_browser(tmp_path: Path) -> None:
    lines = [
        Curve(Series("up", tuple(map(float, range(101))), tuple(at / 100 for at in range(101)))),
        Curve(Series("down", tuple(map(float, range(101))), tuple(1 - at / 100 for at in range(101)))),
    ]
    said = browse(
        tmp_path,
        page.curves_page({"acc": lines}, "curves"),
        """
        const chart = all("svg.chart")[0], tip = all(".tip")[0], plane = all("svg.plane")[0];
        const words = () => all(".grid text").map((one) => one.textContent);
        const [left, top, whole, high] = JSON.parse(chart.dataset.axes).plot;
        at(chart, "pointermove", left + whole * .25, top + high * (1 - (.25 + .03) / 1.06));
        said.hover = tip.textContent;
        all(".legend button")[0].click();
        at(chart, "pointermove", left + whole * .25, top + high * (1 - (.25 + .03) / 1.06));
        said.hidden = [tip.hidden, all(".mark.off").length, all(".legend button")[0].getAttribute("aria-pressed")];
        at(chart, "pointerdown", left + whole * .5, 100);
        at(chart, "pointermove", left + whole * .75, 103);
        at(chart, "pointerup", left + whole * .75, 103);
        said.zoomed = [plane.getAttribute("viewBox").split(" ").map(Math.round), words()];
        chart.dispatchEvent(new MouseEvent("dblclick"));
        said.whole = plane.getAttribute("viewBox");
        """,
    )
    assert said["hover"] == "up\n25: 0.25"
    assert said["hidden"] == [True, 1, "false"]
    assert said["zoomed"][0] == [50_000, 0, 25_000, 100_000]
    assert {"50", "60", "75"} & set(said["zoomed"][1]) == {"50", "60", "75"}
    assert said["whole"] == "0 0 100000 100000"


def test_parallel_coordinates_in_a_browser(tmp_path: Path) -> None:
    said = browse(
        tmp_path,
        page.page("parallel", page.parallel(parallel(RUNS, [LR, DEPTH, OPT], ACC))),
        """
        const chart = all("svg[data-parallel]")[0], { lanes, bottom } = JSON.parse(chart.dataset.parallel);
        at(chart, "pointerdown", lanes[2], bottom - 6);
        at(chart, "pointermove", lanes[2], bottom + 6);
        at(chart, "pointerup", lanes[2], bottom + 6);
        said.kept = all("polyline.run:not(.out)").map((one) => one.dataset.label.split("\\n")[0]);
        said.count = all(".count")[0].textContent;
        at(chart, "pointerdown", lanes[2], bottom);
        at(chart, "pointerup", lanes[2], bottom);
        said.all = all("polyline.run:not(.out)").length;
        """,
    )
    assert said == {"kept": ["c"], "count": "1 of 5 runs", "all": 5}
