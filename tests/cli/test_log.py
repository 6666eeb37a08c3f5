from __future__ import annotations

from tests.cli.conftest import Desk


def test_runs_like_commits(three: Desk) -> None:
    three("describe", "fast", "-m", "The learning rate\nthat works.")
    run = three.json("show", "fast")
    text = three.out("log")
    assert text.count("\ncommit ") == 2
    entry = text[text.index(f"commit {run['commit']} (digits/fast)") :].splitlines()
    assert entry[1] == "Author: Test Author <author@example.org>"
    assert entry[2].startswith("Date:   2")
    assert entry[3].startswith("Status: finished after ")
    assert entry[4:8] == ["", "    The learning rate", "    that works.", ""]
    assert sorted(entry[8].split()) == ["loss=0.2", "val/acc=0.9"]


def test_one_line_each(three: Desk) -> None:
    lines = three.out("log", "--oneline").splitlines()
    assert [line.split()[1] for line in lines] == ["digits/broken:", "digits/fast:", "digits/slow:"]
    assert three.json("show", "fast")["commit"].startswith(lines[1].split()[0])
    assert len(three.out("log", "--oneline", "-n", "2").splitlines()) == 2
    assert len(three.out("log", "--oneline", "slow", "@").splitlines()) == 2
    assert three.json("log", "-n", "1")[0]["name"] == "broken"


def test_the_graph_is_gits(three: Desk) -> None:
    text = three.out("log", "--graph", "--oneline")
    assert text.count("*") == 4
    assert "Add the training script" in text
    assert "digits/fast: finished" in text


def test_nothing_yet(desk: Desk) -> None:
    for option in ("--oneline", "--graph"):
        result = desk("log", option)
        assert (result.stdout, "no runs yet" in result.stderr) == ("", True)
