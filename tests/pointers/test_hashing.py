"""The md5 while copying: right for every size, and never in the way of an error."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from gittrack.pointers.hashing import BLOCK, copy, digest
from tests.helpers import small_disk

SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK, 8 * BLOCK + 12345, 21 * BLOCK]


def write(path: Path, size: int) -> bytes:
    data = os.urandom(min(size, 100_003)) * (size // 100_003 + 1)
    path.write_bytes(data[:size])
    return data[:size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kernel", [True, False])
def test_copy_and_md5_of_every_size(
    tmp_path: Path, size: int, alone: bool, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel:
        # As on a system that sends to sockets only.
        def refuse(*_: object) -> int:
            raise OSError(errno.ENOTSOCK, "not a socket")

        monkeypatch.setattr(os, "sendfile", refuse, raising=False)
    data = write(tmp_path / "source", size)
    moved: list[int] = []
    with open(tmp_path / "source", "rb", buffering=0) as source, open(tmp_path / "copy", "xb+", buffering=0) as target:
        found = copy(source, target, size, moved.append, alone=alone)
    assert found == (hashlib.md5(data).hexdigest(), size)
    assert (tmp_path / "copy").read_bytes() == data
    assert sum(moved) == size


@pytest.mark.parametrize("size", SIZES)
def test_digest_is_the_md5(tmp_path: Path, size: int) -> None:
    data = write(tmp_path / "source", size)
    with open(tmp_path / "source", "rb", buffering=0) as source:
        assert digest(source) == (hashlib.md5(data).hexdigest(), size)


def test_the_expected_size_is_no_promise(tmp_path: Path) -> None:
    data = write(tmp_path / "source", 9 * BLOCK)
    for number, expected in enumerate((1, 100 * BLOCK)):
        with (
            open(tmp_path / "source", "rb", buffering=0) as source,
            open(tmp_path / str(number), "xb+", buffering=0) as target,
        ):
            assert copy(source, target, expected) == (hashlib.md5(data).hexdigest(), len(data))


@pytest.mark.parametrize("alone", [True, False])
def test_a_full_disk_is_an_error_and_leaves_no_thread(tmp_path: Path, alone: bool) -> None:
    write(tmp_path / "source", 20 * BLOCK)
    with (
        small_disk(tmp_path / "disk", "10m") as disk,
        open(tmp_path / "source", "rb", buffering=0) as source,
        open(disk / "copy", "xb+", buffering=0) as target,
    ):
        with pytest.raises(OSError) as caught:
            copy(source, target, 20 * BLOCK, alone=alone)
        assert caught.value.errno == errno.ENOSPC
    assert not [one for one in threading.enumerate() if one.name == "gittrack-md5"]
