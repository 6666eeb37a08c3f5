"""Which pointer tracks a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from gittrack.domain.pointer import Pointer
from gittrack.errors import CorruptRecord
from gittrack.pointers.dvcfile import pointer_file
from gittrack.pointers.tracked import Tracked, find_tracked

ONE, TWO = Pointer("a" * 32, 1), Pointer("b" * 32 + ".dir", 2, 2)


def write(root: Path, rel: str, data: bytes | str) -> Path:
    path = root / rel
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("name", ["x.bin", "with space", "日本", "a: 'b'", "word " * 20 + "end"])
def test_the_pointer_beside_it(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f"data/{name}.dvc", pointer_file(ONE, name))
    out = tmp_path / "data" / name
    assert find_tracked(out, tmp_path) == Tracked(path, out, ONE, None, True)


@pytest.mark.parametrize("name", ["x.bin", "a: 'b'", "word " * 20 + "end"])
def test_another_pointer_in_the_folder(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "other.dvc", pointer_file(ONE, name))
    write(tmp_path, "x.bin.dvc", pointer_file(TWO, "elsewhere"))
    assert find_tracked(tmp_path / name, tmp_path) == Tracked(path, tmp_path / name, ONE, None, True)


def test_a_member_of_a_tracked_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "data.dvc", pointer_file(TWO, "data"))
    found = find_tracked(tmp_path / "data/sub/x", tmp_path)
    assert found == Tracked(path, tmp_path / "data", TWO, "sub/x", True)


def test_the_nearest_pointer_wins(tmp_path: Path) -> None:
    write(tmp_path, "data.dvc", pointer_file(TWO, "data"))
    path = write(tmp_path, "data/sub/x.dvc", pointer_file(ONE, "x"))
    assert find_tracked(tmp_path / "data/sub/x", tmp_path) == Tracked(path, tmp_path / "data/sub/x", ONE, None, True)


def test_a_lock_file_above(tmp_path: Path) -> None:
    out = f"    - path: out/data\n      md5: {TWO.oid}\n      size: 2\n      nfiles: 2\n"
    lock = f"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n{out}"
    path = write(tmp_path, "pipeline/dvc.lock", lock)
    here = tmp_path / "pipeline/out/data"
    # Without `hash: md5` it is a pointer of DVC 2.
    assert find_tracked(here, tmp_path) == Tracked(path, here, TWO, None, False)
    assert find_tracked(here / "x", tmp_path) == Tracked(path, here, TWO, "x", False)


def test_what_nobody_tracks(tmp_path: Path) -> None:
    write(tmp_path, "x.dvc", pointer_file(ONE, "x"))
    (tmp_path / ".dvc").mkdir()
    for name in ("y", "x2", "sub/x", "."):
        assert find_tracked(tmp_path / name, tmp_path) is None
    assert find_tracked(tmp_path.parent / "x", tmp_path) is None


def test_a_pointer_without_an_md5(tmp_path: Path) -> None:
    path = write(tmp_path, "x.dvc", "frozen: true\nouts:\n- path: x\n")
    assert find_tracked(tmp_path / "x", tmp_path) == Tracked(path, tmp_path / "x", None, None, False)


def test_only_its_own_pointer_may_be_broken(tmp_path: Path) -> None:
    write(tmp_path, "x.dvc", "outs: [")
    path = write(tmp_path, "y.dvc", pointer_file(ONE, "y"))
    write(tmp_path, "other.dvc", "y: [")
    assert find_tracked(tmp_path / "y", tmp_path) == Tracked(path, tmp_path / "y", ONE, None, True)
    with pytest.raises(CorruptRecord, match=r"x\.dvc"):
        find_tracked(tmp_path / "x", tmp_path)
