from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Desk

KINDS = {
    "curves": (),
    "scatter": ("--x", "lr", "--y", "loss", "--color", "model.depth"),
    "box": ("--metric", "loss", "--by", "lr"),
    "contour": ("--metric", "loss", "--x", "lr", "--y", "model.depth"),
    "pareto": ("loss", "acc", "--min", "loss", "--max", "acc"),
    "parallel": (
        "--metric",
        "loss",
    ),
}


@pytest.fixture
def sweep(desk: Desk) -> Desk:
    """Two rates and two depths, with two seeds each; one run that failed."""
    for at, (lr, depth, seed) in enumerate(
        (lr, depth, seed) for lr in (0.01, 0.1) for depth in (2, 4) for seed in (1, 2)
    ):
        desk.run(
            f"net-{at}",
            params={"lr": lr, "model": {"depth": depth}, "seed": seed},
            metrics={"loss": [3 - lr, 2 - lr, 1 - lr * depth + seed / 100], "acc": [0.1, 0.5, 0.7 + seed / 100]},
        )
    desk.run("broken", params={"lr": 10}, metrics={"loss": [float("nan")]}, fails=True)
    return desk


# --- every kind


@pytest.mark.parametrize("kind", KINDS)
def test_into_a_page_a_png_and_an_svg(sweep: Desk, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    files = [tmp_path / f"it.{form}" for form in ("html", "png", "svg")]
    result = sweep(
        "plot", kind, *KINDS[kind], *(word for file in files for word in (f"--{file.suffix[1:]}", str(file)))
    )
    assert (result.stdout, result.stderr) == ("", "")
    page, png, svg = (file.read_bytes() for file in files)
    assert page.count(b"<figure") == (2 if kind == "curves" else 1)
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg


@pytest.mark.parametrize("kind", ["curves", "scatter", "box", "pareto"])
def test_in_the_terminal(sweep: Desk, kind: str) -> None:
    lines = sweep.out("plot", kind, *KINDS[kind]).splitlines()
    assert (
        lines[0] == {"curves": "acc", "scatter": "loss over lr", "box": "loss by lr", "pareto": "acc over loss"}[kind]
    )
    assert len(lines) > 4


@pytest.mark.parametrize("kind", ["contour", "parallel"])
def test_what_a_terminal_cannot_show(sweep: Desk, kind: str) -> None:
    said = sweep.error("plot", kind, *KINDS[kind], code=2)
    assert "cannot be drawn in a terminal; pass --html, --png or --svg with a file" in said


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_run(desk: Desk, kind: str) -> None:
    assert "there are no runs yet" in desk.error("plot", kind, *KINDS[kind], code=1)
    desk.run("empty", fails=True)
    assert "experiment digits has no finished run" in desk.error("plot", kind, *KINDS[kind], code=1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_run(desk: Desk, tmp_path: Path, kind: str) -> None:
    desk.run("alone", params={"lr": 0.1, "model": {"depth": 2}}, metrics={"loss": [1, 0.5], "acc": [0, 1]})
    words = ("plot", kind, *KINDS[kind], "--html", str(tmp_path / "it.html"))
    if kind == "contour":
        assert "needs runs at 4 places or more" in desk.error(*words, code=1)
    elif kind == "parallel":
        assert "no param varies" in desk.error(*words, code=2)
        assert desk.out(*words, "--param", "lr") == ""
    else:
        assert desk.out(*words) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_without_matplotlib(sweep: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in sweep.error("plot", kind, *KINDS[kind], "--svg", str(tmp_path / "x.svg"), code=1)
    assert sweep.out("plot", kind, *KINDS[kind], "--html", str(tmp_path / "x.html")) == ""


def test_strange_names(desk: Desk, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    odd = "a|<b>&🦦$x$_"
    for at in range(6):
        value = [float("nan"), float("inf"), 1.0, 2.0, -1.0, 1e308][at]
        desk.run(
            f"{odd}`{at}",
            params={odd: f"</script>{odd}\n{at % 2}", "x": at % 2, "y": at // 2},
            metrics={odd: [1.0, value]},
        )
    desk.repo.git("config", "gittrack.metrics.goals", "{'*': max}")
    for kind, words in {
        "curves": ("--log", "y", "--smooth", "0.5"),
        "scatter": ("--x", f"params.{odd}", "--y", f"metrics.{odd}", "--color", f"params.{odd}"),
        "box": ("--by", odd),
        "contour": ("--x", "x", "--y", "y"),
        "pareto": (odd, odd),
        "parallel": (),
    }.items():
        page = tmp_path / f"{kind}.html"
        forms = ("--html", str(page), "--png", str(tmp_path / "it.png"), "--svg", str(tmp_path / "it.svg"))
        desk("plot", kind, *words, *forms)
        assert "</script>a" not in page.read_text(encoding="utf-8")
        assert "<b>" not in page.read_text(encoding="utf-8")
    for kind in ("curves", "scatter", "box"):
        words = {"curves": (), "scatter": ("--x", "x", "--y", f"metrics.{odd}"), "box": ("--by", odd)}[kind]
        assert "\x1b" not in desk.out("plot", kind, *words)


# --- which runs


def test_finished_runs_of_the_newest_experiment(sweep: Desk) -> None:
    assert "0.01  4" in sweep.out("plot", "box", "--metric", "loss", "--by", "lr")
    assert (
        sweep("plot", "box", "--metric", "loss", "--by", "lr", "--filter", "params.lr > 0.05").stdout.count(" 4  ") == 1
    )
    sweep.run("other", experiment="letters", params={"lr": 7}, metrics={"loss": [1]})
    assert "7   1" in sweep.out("plot", "box", "--metric", "loss", "--by", "lr")
    assert "0.01  4" in sweep.out("plot", "box", "--metric", "loss", "--by", "lr", "-e", "digits")


def test_named_runs_are_drawn_whatever_became_of_them(sweep: Desk) -> None:
    text = sweep.out("plot", "curves", "net-0", "broken", "net-0", "--metric", "loss")
    assert text.splitlines()[-2:] == ["● net-0", "▲ broken"]
    assert "leave one of both out" in sweep.error("plot", "curves", "net-0", "--filter", "params.lr > 0", code=2)


def test_too_many_runs_are_cut_and_that_is_said(sweep: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from gittrack.cli import plot

    monkeypatch.setattr(plot, "_MOST_RUNS", 3)
    result = sweep("plot", "box", "--metric", "loss", "--by", "lr")
    assert "the newest 3 of 8 runs; --filter chooses others" in result.stderr
    assert "0.1  3" in result.stdout


def test_a_filter_that_nothing_passes(sweep: Desk) -> None:
    assert "has no finished run that passes" in sweep.error("plot", "curves", "--filter", "params.lr > 5", code=1)
    assert "^" in sweep.error("plot", "curves", "--filter", "params.lr >", code=2)


# --- curves


def test_repeats_are_one_line_with_a_band(sweep: Desk, tmp_path: Path) -> None:
    text = sweep.out("plot", "curves", "--metric", "loss")
    assert "● lr=0.01 model.depth=2: mean of 2, 0.99 to 1 at the end" in text
    assert "net-0" not in text
    page = tmp_path / "it.html"
    sweep("plot", "curves", "--metric", "loss", "--html", str(page))
    assert page.read_text().count('class="band"') == 4
    assert "mean of 2, band min to max" in page.read_text()
    sweep("plot", "curves", "--metric", "loss", "--band", "sd", "--html", str(page))
    assert "mean of 2, band ± 1 standard deviation" in page.read_text()
    sweep("plot", "curves", "--metric", "loss", "--alone", "--smooth", "0.9", "--html", str(page))
    assert page.read_text().count('class="band"') == 0
    assert page.read_text().count('class="raw"') == 8
    assert "net-7" in page.read_text()


def test_which_metrics(sweep: Desk) -> None:
    def drawn(*words: str) -> list[str]:
        text = sweep.out("plot", "curves", "net-0", *words)
        return [line for line in text.splitlines() if re.fullmatch(r"loss|acc", line)]

    assert drawn() == ["acc", "loss"]
    assert drawn("--metric", "a*") == ["acc"]
    assert drawn("--metric", "metrics.acc", "--metric", "*") == ["acc", "loss"]
    sweep.repo.git("config", "gittrack.metrics.goals", "{acc: max}")
    assert drawn() == ["acc"]
    assert "did you mean loss?" in sweep.error("plot", "curves", "--metric", "los", code=2)


def test_over_epochs_and_over_time(desk: Desk, tmp_path: Path) -> None:
    desk.run("with", metrics={"loss": [4, 3, 2, 1], "epoch": [0, 0, 1, 1]})
    desk.run("without", metrics={"loss": [4, 3, 2, 1]})
    page = tmp_path / "it.html"
    desk("plot", "curves", "with", "--metric", "loss", "--x", "epoch", "--html", str(page))
    assert "&quot;x&quot;:{&quot;low&quot;:0.0,&quot;high&quot;:1.0" in page.read_text()
    said = desk.error("plot", "curves", "without", "--metric", "loss", "--x", "epoch", code=2)
    assert "log the metric 'epoch' at the same steps" in said
    both = desk("plot", "curves", "--metric", "loss", "--x", "epoch")
    assert both.stderr == "1 run without a value for epoch left out\n"
    assert "without" not in both.stdout
    assert "epoch over epoch" not in desk.out("plot", "curves", "with", "--x", "epoch")
    desk("plot", "curves", "without", "--metric", "loss", "--x", "time", "--html", str(page))
    assert ">seconds since the start<" in page.read_text()
    assert "loss over seconds since the start" in desk.out("plot", "curves", "without", "--x", "time")


def test_a_smoothing_out_of_range(sweep: Desk) -> None:
    assert "1.5 is not in the range 0" in sweep.error("plot", "curves", "--smooth", "1.5", code=2)


def test_a_run_without_points_of_its_own(desk: Desk) -> None:
    desk.run("empty")
    assert "has a metric of its own" in desk.error("plot", "curves", "empty", code=2)


# --- the others


def test_a_key_of_both_kinds(desk: Desk) -> None:
    desk.run("a", params={"size": 1}, metrics={"size": [2]})
    assert "write params.size or metrics.size" in desk.error("plot", "scatter", "--x", "size", "--y", "size", code=2)
    assert desk.out("plot", "scatter", "--x", "params.size", "--y", "metrics.size").startswith("size over size")


def test_runs_that_are_left_out_are_counted(desk: Desk) -> None:
    desk.run("a", params={"lr": 1}, metrics={"loss": [2]})
    desk.run("b", params={"lr": 1}, metrics={"loss": [float("nan")]})
    for kind in ("scatter", "box"):
        assert "1 run without a value for" in desk("plot", kind, *KINDS[kind][:4]).stderr


def test_which_metric_is_meant(sweep: Desk) -> None:
    assert "say which metric with --metric; the runs have acc, loss" in sweep.error("plot", "box", "--by", "lr", code=2)
    sweep.repo.git("config", "gittrack.metrics.goals", "{acc: max}")
    assert sweep.out("plot", "box", "--by", "lr").startswith("acc by lr")


def test_what_is_looked_at_unasked_gates_or_has_a_goal_at_least(sweep: Desk) -> None:
    sweep.repo.git("config", "gittrack.metrics.goals", "{loss: min, acc: {goal: max, role: gate}}")
    assert sweep.out("plot", "box", "--by", "lr").startswith("acc by lr")
    assert sweep.out("plot", "curves").startswith("acc")
    sweep.repo.git("config", "gittrack.metrics.goals", "{acc: {goal: max, role: ignore}}")
    assert sweep.out("plot", "box", "--by", "lr").startswith("loss by lr")
    drawn = sweep.out("plot", "curves").splitlines()
    assert drawn[0] == "loss"
    assert "acc" not in drawn
    sweep.repo.git("config", "gittrack.metrics.goals", "{'*': {goal: max, role: ignore}}")
    assert "none of the runs has a metric" in sweep.error("plot", "box", "--by", "lr", code=2)


def test_a_file_ends_as_what_it_is(sweep: Desk, tmp_path: Path) -> None:
    words = ("plot", "box", "--metric", "loss", "--by", "lr")
    for form, name in (("png", "x.pdf"), ("svg", "x.PNG"), ("html", "x.svg")):
        said = sweep.error(*words, f"--{form}", str(tmp_path / name), code=2)
        assert f"--{form} writes a file that ends in .{form}" in said
    assert list(tmp_path.glob("x.*")) == []
    for name in ("x.HTM", "plain", "x.html"):
        sweep(*words, "--html", str(tmp_path / name))
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!")


def test_params_of_parallel_coordinates(sweep: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gittrack.cli import plot

    page = tmp_path / "it.html"

    def lanes(*words: str) -> list[str]:
        sweep("plot", "parallel", "--metric", "loss", *words, "--html", str(page))
        return re.findall(r'<g class="lane"><title>([^<]*)<', page.read_text())

    assert lanes() == ["lr", "model.depth", "loss"], "a seed tells repeats apart and nothing else"
    assert lanes("--param", "seed", "--param", "lr") == ["seed", "lr", "loss"]
    monkeypatch.setattr(plot, "_MOST_LANES", 1)
    assert lanes() == ["lr", "loss"]
    assert "did you mean lr?" in sweep.error("plot", "parallel", "--metric", "loss", "--param", "l", code=2)


def test_more_boxes_than_anybody_looks_at(sweep: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from gittrack.cli import plot

    monkeypatch.setattr(plot, "_MOST_GROUPS", 1)
    assert "lr has 2 values" in sweep.error("plot", "box", "--metric", "loss", "--by", "lr", code=2)
    assert "has a param 'acc'" in sweep.error("plot", "box", "--metric", "loss", "--by", "acc", code=2)


def test_a_file_that_cannot_be_written(sweep: Desk, tmp_path: Path) -> None:
    words = ("plot", "curves", "--html", str(tmp_path / "no" / "x.html"))
    assert "No such file or directory" in sweep.error(*words, code=1)


def test_the_front(sweep: Desk) -> None:
    text = sweep.out("plot", "pareto", "loss", "acc", "--min", "metrics.loss", "--max", "acc")
    # The deepest net at the highest rate is best by its loss, with seed 1, and by its accuracy with seed 2.
    assert text.splitlines()[-1] == "▲ 2 of 8 runs on the front"
    assert "nothing says whether 'loss' is better" in sweep.error("plot", "pareto", "loss", "acc", code=2)
    sweep.repo.git("config", "gittrack.metrics.goals", "{acc: max, loss: min}")
    assert sweep.out("plot", "pareto", "loss", "acc") == text
    assert "1 of 8" in sweep.out("plot", "pareto", "loss", "acc", "--min", "acc")
    assert "a front is of two metrics, and loss is one" in sweep.error("plot", "pareto", "loss", code=2)
    assert "has a metric 'los'" in sweep.error("plot", "pareto", "loss", "los", code=2)


def test_params_that_are_too_many_for_a_table(desk: Desk) -> None:
    for at in range(3):
        desk.run(
            f"run-{at}",
            params={f"a.param.with.a.long.key.{key}": key * at for key in range(300)},
            metrics={"loss": [at]},
        )
    lines = desk.out("plot", "scatter", "--x", "a.param.with.a.long.key.299", "--y", "loss").splitlines()
    assert sum(line.count("●") for line in lines) == 3
