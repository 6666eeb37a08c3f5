"""Pointer files: the bytes of DVC, and what is read from them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.domain.pointer import Pointer
from gittrack.errors import CorruptRecord
from gittrack.pointers.dvcfile import TrackedOut, pointer_file, read_pointer_file
from gittrack.pointers.setup import set_up_dvc
from gittrack.pointers.store import Store
from tests.helpers import Repo

MD5 = "0123456789abcdef0123456789abcdef"

# Names that YAML may take for something else, or has to write in quotes.
NAMES = [
    *("plain.bin", "UPPER", "a-b_c.tar.gz", "with space", "two  spaces", " lead", "a: b", "a:b", "a #b", "#a", "x,y"),
    *("-dash", "- dash", "--", "123", "012", "1e5", "1_000", "1:30", "0x1f", "0o7", "2020-01-01", "1.5", ".5", "+1"),
    *("yes", "no", "on", "True", "null", "~", "y", "=", "<<", "é ü", "日本", "😀", "'q'", '"d"', "it's", "a'b\"c"),
    *("[x]", "{", "}", "*a", "&a", "!t", "%t", "@t", "`t", "|", ">", "?", "? x", "a\\b", "tab\tname", "new\nline"),
    *("x" * 90, "word " * 20 + "end", "\u2028", "\ufeff", "inf.", ".inf", "NaN", "...x", "---"),
]


def test_pointer_files_are_dvcs_own(repo: Repo) -> None:
    set_up_dvc(repo.path)
    # One that DVC cannot read back itself is not asked of it.
    names = [name for name in NAMES if name not in {"\u2028"}]
    for number, name in enumerate(names):
        repo.write(name, f"{number}")
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "--", *names], cwd=repo.path, check=True)
    store = Store.of(repo.path / ".git", repo.path)
    for name in names:
        pointer = store.measure(repo.path / name).pointer
        data = (repo.path / f"{name}.dvc").read_bytes()
        assert pointer_file(pointer, name) == data
        assert read_pointer_file(data, name) == [TrackedOut(name, pointer, True)]


@pytest.mark.parametrize(
    "digits",
    [
        "1" * 32,
        "1" * 30 + "e5",
        "0b" + "1" * 30,
        "0" * 32,
        "e" * 32,
        "1e" + "2" * 30,
        "b" * 32,
        "12345678e" * 3 + "12345",
    ],
)
def test_an_md5_that_looks_like_a_number_is_written_as_dvc_writes_it(digits: str) -> None:
    from dvc.utils.serialize import dumps_yaml

    pointer = Pointer(digits, 7)
    data = pointer_file(pointer, "file")
    assert data.decode() == dumps_yaml({"outs": [{"md5": digits, "size": 7, "hash": "md5", "path": "file"}]})
    assert read_pointer_file(data, "x")[0].pointer == pointer


oids = st.text("0123456789abcdef", min_size=32, max_size=32) | st.text("0123456789eb", min_size=32, max_size=32)
pointers = st.builds(Pointer, oids, st.integers(0, 1 << 60)) | st.builds(
    Pointer, oids.map("{}.dir".format), st.integers(0, 1 << 60), st.integers(0, 10**9)
)
names = st.sampled_from(NAMES) | st.text(min_size=1, max_size=120).filter(
    lambda name: not set(name) & {"/", "\0"} and name not in {".", ".."}
)


@given(pointers, names)
def test_what_is_written_is_read(pointer: Pointer, name: str) -> None:
    assert read_pointer_file(pointer_file(pointer, name), "x") == [TrackedOut(name, pointer, True)]


@given(pointers, names)
def test_dvc_reads_what_is_written(pointer: Pointer, name: str) -> None:
    from dvc.utils.serialize import loads_yaml

    out = loads_yaml(pointer_file(pointer, name).decode())["outs"][0]
    assert (out["md5"], out["size"], out.get("nfiles"), out["path"]) == (
        pointer.oid,
        pointer.size,
        pointer.nfiles,
        name,
    )


# --- reading what others wrote


def test_a_lock_file_names_the_outs_of_all_stages() -> None:
    text = f"""\
schema: '2.0'
stages:
  prepare:
    cmd: python prepare.py
    deps:
    - path: raw
      md5: {MD5}
    outs:
    - path: data/train
      hash: md5
      md5: {MD5}.dir
      size: 10
      nfiles: 2
    - path: old.csv
      md5: {MD5}
      size: 3
  train:
    cmd: python train.py
"""
    assert read_pointer_file(text.encode(), "dvc.lock") == [
        TrackedOut("data/train", Pointer(f"{MD5}.dir", 10, 2), True),
        TrackedOut("old.csv", Pointer(MD5, 3), False),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"outs:\n- md5: {MD5}\n  path: x\n", TrackedOut("x", Pointer(MD5, 0), False)),
        (
            f"wdir: sub\nouts:\n- md5: {MD5}\n  size: 1\n  hash: md5\n  path: ../x\n",
            TrackedOut("x", Pointer(MD5, 1), True),
        ),
        (
            "outs:\n- etag: abc\n  size: 1\n  hash: etag\n  path: s3://bucket/x\n",
            TrackedOut("s3:/bucket/x", None, False),
        ),
        ("md5: 1\nfrozen: true\nouts:\n- path: x\n", TrackedOut("x", None, False)),
        (f"outs:\n- {{md5: {MD5}, size: 1, hash: md5, path: yes}}\n", TrackedOut("yes", Pointer(MD5, 1), True)),
    ],
)
def test_other_pointers(text: str, expected: TrackedOut) -> None:
    assert read_pointer_file(text.encode(), "x.dvc") == [expected]


@pytest.mark.parametrize("text", ["", "outs:\n", "outs: []\n", "deps:\n- path: x\n", "schema: '2.0'\n", "stages:\n"])
def test_pointers_without_outs(text: str) -> None:
    assert read_pointer_file(text.encode(), "x.dvc") == []


NONSENSE: list[Any] = [
    *(
        "<<<<<<< HEAD\nouts:\n- md5: x\n=======\n",
        "outs: 3\n",
        "outs:\n- 3\n",
        "outs:\n- md5: x\n",
        "[1]",
        "just words",
    ),
    *(f"outs:\n- md5: {bad}\n  path: x\n" for bad in ("xyz", "12345", "[]", MD5.upper(), MD5 + "0")),
    *(f"outs:\n- md5: {MD5}\n  path: x\n  {bad}\n" for bad in ("size: many", "size: -1", "nfiles: 1.5", "size: true")),
    *("outs: [\n", "a: b: c\n", "stages: [1]\n", "stages:\n  a: 1\n", f"outs:\n- md5: {MD5}\n  path: [x]\n"),
    *(b"\xff\xfe\x00", b"outs:\n- path: \x00\n"),
]


@pytest.mark.parametrize("text", NONSENSE)
def test_a_pointer_edited_into_nonsense_is_one_sentence(text: str | bytes) -> None:
    with pytest.raises(CorruptRecord) as caught:
        read_pointer_file(text.encode() if isinstance(text, str) else text, "data/x.dvc")
    assert str(caught.value).startswith("data/x.dvc is no pointer of DVC: ")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60) | st.text("outs:-md5 path\n[]{}'\"0a", max_size=60).map(str.encode))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        read_pointer_file(data, "x.dvc")
    except CorruptRecord:
        pass
