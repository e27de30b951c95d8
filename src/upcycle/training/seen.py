"""What a student was trained on, kept beside it as digests: enough to find out that a gold item was among it.

In: examples. Out: `seen.bin`, eight bytes an example, sorted. The decision: digests and not the texts or a path,
because the check must work after the dataset was moved, and a model that is shared must not carry its data along.
Two texts are one where they differ in case and spacing only, and in the order of the options they list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from upcycle.contract import listed_options, without_options
from upcycle.errors import boundary
from upcycle.records import Example

NAME = "seen.bin"
_BYTES = 8


def question(text: str, choices: Sequence[str] | None = None) -> bytes:
    r"""What is asked, as eight bytes.

    >>> question("Rain?\nchoice: no\nchoice: yes") == question("rain?", ["yes", "no"])
    True
    """
    options = choices or listed_options(text)
    parts = [_plain(without_options(text)), *sorted(map(_plain, options))]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).digest()[:_BYTES]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def write_seen(folder: Path, examples: Iterable[Example]) -> None:
    """Remember in a student's folder what it was trained on."""
    found = sorted({question(one.input, one.choices) for one in examples})
    with boundary(str(folder / NAME)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NAME).write_bytes(b"".join(found))


def read_seen(folder: Path) -> frozenset[bytes] | None:
    """What the student in this folder was trained on; None where nobody wrote it down."""
    for file in (folder / NAME, folder / "model" / NAME):
        if file.is_file():
            data = file.read_bytes()
            return frozenset(data[at : at + _BYTES] for at in range(0, len(data), _BYTES))
    return None
