# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading env.yaml: lines of every value, and hostile files refused quickly with one clear line."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.document import MAX_BYTES, parse, read
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

#: What it is -> (bytes, a word of the message).
HOSTILE = {
    "bomb": (BOMB.encode(), "more than"),
    "merge bomb": (b"a: &a {x: 1}\nb: {<<: *a}\n", "merge keys"),
    "deep list": (b"[" * 5000, "deeper"),
    "deep mapping": ("".join(f"{' ' * n}a:\n" for n in range(400)).encode(), "deeper"),
    "huge": (b"a: " + b"x" * (MAX_BYTES + 1), "larger than 256 KB"),
    "ten megabytes": (b"- a\n" * 2_500_000, "larger than 256 KB"),
    "many values": (b"- a\n" * 60000, "more than"),
    "duplicate key": (b"image: a\nimage: b\n", "twice"),
    "duplicate key inside": (b"agent:\n  name: a\n  name: b\n", "twice"),
    "python object": (b"a: !!python/object/apply:os.system [id]\n", "tag"),
    "python name": (b"a: !!python/name:os.system\n", "tag"),
    "python module as key": (b"? !!python/module:os\n: 1\n", "tag"),
    "own tag": (b"a: !vault |\n  x\n", "tag"),
    "binary": (b"a: !!binary aGVsbG8=\n", "tag"),
    "set": (b"a: !!set {x}\n", "tag"),
    "two documents": (b"a: 1\n---\nb: 2\n", "more than one document"),
    "unknown alias": (b"a: *nothing\n", "alias"),
    "recursive": (b"&a [*a]\n", "alias"),
    "recursive mapping": (b"a: &a\n  b: *a\n", "alias"),
    "complex key": (b"? [a, b]\n: 1\n", "key"),
    "alias as key": (b"a: &x y\n*x : 1\n", "key"),
    "not yaml": (b"a: [1, 2\n", "file:2"),
    "tab": (b"a:\n\t- b\n", "file:2"),
    "nul": (b"a: \0\n", "NUL"),
    "latin-1": (b"a: gr\xfcn\n", "UTF-8"),
    "utf-16": ("a: 1\n".encode("utf-16"), "UTF-8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_within_100_ms(name):
    raw, word = HOSTILE[name]
    took = []
    # The quickest of three: on a machine under load, the others' caches are in a single one's time too.
    for _attempt in range(3):
        begun = time.process_time()
        with pytest.raises(UsageError) as caught:
            parse(raw, "file")
        took.append(time.process_time() - begun)
    assert min(took) < 0.1
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_lines_of_values_and_keys():
    document = parse(b"# head\nimage: a\nservices:\n  - name: db\n    image: x\n  - name: q\nenv:\n  A: '1'\n", "f")
    assert document.data == {"image": "a", "services": [{"name": "db", "image": "x"}, {"name": "q"}], "env": {"A": "1"}}
    assert document.line(("image",)) == 2
    assert document.line(("services", 0, "image")) == 5
    assert document.line(("services", 1)) == 6
    assert document.line(("env", "A")) == 8
    assert document.line(("services", 1, "image")) == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("3.10", 3.1),
        ("'3.10'", "3.10"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("60:30", "60:30"),
        ("0x10", "0x10"),
        ("1e400", "1e400"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("yes", True),
        ("off", False),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("9" * 400, "9" * 400),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
    ],
)
def test_scalars(text, value):
    assert parse(f"a: {text}\n".encode(), "f").data == {"a": value}


def test_alias_of_a_small_value_is_fine():
    assert parse(b"a: &x {b: 1}\nc: *x\n", "f").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_empty_file_is_no_mapping():
    assert parse(b"", "f").data is None


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="blueprint detect"):
        read(str(tmp_path / "env.yaml"))


def test_folder_and_fifo_do_not_hang(tmp_path):
    with pytest.raises(UsageError):
        read(str(tmp_path))
    os.mkfifo(tmp_path / "fifo")
    assert read(str(tmp_path / "fifo")).data is None
