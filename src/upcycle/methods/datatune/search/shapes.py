"""What a set of texts looks like, and how far two sets look alike, without a model.

Demonstrations are few (often three), so what they show is smoothed before it is compared: three of three texts with a
digit say "mostly", not "always". Only what one text shows by itself is counted; nothing here knows a source or a task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from upcycle.contract import is_number, parses
from upcycle.language import detect, looks_like_code, script_of
from upcycle.methods.datatune.plans.values import sentences

_PYTHON_MARK = re.compile(
    r"^\s*(def |class |import |from \w+ import |for |while |print\(|assert |\w+ = |@|async def )", re.MULTILINE
)
_QUESTION = re.compile(r"\?\W*$|^(what|which|who|whom|whose|when|where|why|how)\b", re.IGNORECASE)
_TURNS = re.compile(r"(?:^|\n|\s)[A-Z][\w ]{0,12}: .*(?:\n|\s)[A-Z][\w ]{0,12}: ", re.DOTALL)


def is_python(text: str) -> bool:
    """Whether a text is Python source, and not prose or a number that happens to parse."""
    return bool(_PYTHON_MARK.search(text)) and parses(text.replace("\r\n", "\n").strip("\n"))


def asks(text: str) -> bool:
    """Whether a text asks something."""
    return bool(_QUESTION.search(text.strip()[-200:])) or "?" in text


def is_prose(text: str) -> bool:
    """Whether a text is mostly words, not symbols, numbers or identifiers."""
    return sum(c.isalpha() or c.isspace() for c in text) >= 0.85 * len(text) and "_" not in text


_SIGNS: Mapping[str, Callable[[str], bool]] = {
    "digit": lambda text: any(c.isdigit() for c in text),
    "number": is_number,
    "question": asks,
    "python": is_python,
    "code": looks_like_code,
    "turns": lambda text: bool(_TURNS.search(text[:600])),
    "latex": lambda text: "\\" in text and ("$" in text or "{" in text),
    "sentence": lambda text: len(text.split()) >= 4,
    "prose": is_prose,
    "several": lambda text: len(sentences(text)) > 1,
    "lines": lambda text: "\n" in text,
}
_SHORT = 2_000

_OF_INPUTS = {"digit": 0.6, "question": 0.7, "turns": 0.5, "lines": 0.3}
_OF_LABELLED = {"digit": 0.1, "question": 0.2, "turns": 0.2}
_OF_ANSWERS = {"digit": 1.5}
_OF_SENTENCES = {"digit": 0.3, "lines": 1.0, "several": 1.0}
_ALWAYS = {"number": 2.0, "python": 2.0, "code": 1.0, "latex": 1.0, "sentence": 1.0, "prose": 0.5}


class Shape(NamedTuple):
    """What a set of texts looks like: shares of texts that show a sign, and the usual number of words."""

    count: int
    words: float
    shares: Mapping[str, float]


def shape(texts: Sequence[str]) -> Shape:
    """The shape of some texts; of many, only the first 60 are read."""
    texts = texts[:60]
    if not texts:
        return Shape(0, 0.0, {})
    # Whether a text parses is a matter of the whole; everything else shows in its first part.
    cut = [text[:_SHORT] for text in texts]
    shares = {name: sum(map(sign, texts if name == "python" else cut)) / len(texts) for name, sign in _SIGNS.items()}
    return Shape(len(texts), float(median(max(1, len(text.split())) for text in texts)), shares)


def likeness(wanted: Shape, found: Shape, *, role: str) -> float:
    """How far `found` looks like `wanted`, from 0 to 1.

    Args:
        role: "input", "labelled" (the input of a closed set, where length says nothing) or "output".
    """
    if not wanted.count or not found.count:
        return 0.7
    doubt = 1 / (wanted.count + 2)
    total = 0.0
    for name, weight in _weights(wanted, role).items():
        apart = abs(wanted.shares[name] - found.shares[name])
        total += weight * math.log(max(0.02, 1 - max(0.0, apart - doubt) / (1 - doubt)))
    if role != "labelled":
        ratio = abs(math.log(found.words / wanted.words))
        total += 0.5 * math.log(max(0.05, 1 - max(0.0, ratio - math.log(2.5)) / math.log(20)))
    return math.exp(total)


def _weights(wanted: Shape, role: str) -> dict[str, float]:
    if role == "output":
        sentences = wanted.shares["sentence"] > 0.5
        return _ALWAYS | {"question": 1.0} | (_OF_SENTENCES if sentences else _OF_ANSWERS)
    weights = _ALWAYS | (_OF_INPUTS if role == "input" else _OF_LABELLED)
    # Between programs, how much like code or prose one looks is a matter of its length.
    spared = ("code", "prose", "sentence", "lines") if wanted.shares["python"] > 0.6 else ()
    return {name: weight for name, weight in weights.items() if name not in spared}


def language_of(texts: Sequence[str]) -> str | None:
    """The language most of the texts are in, None where they do not say."""
    found = detect(" ".join(text[:200] for text in texts[:20]))
    return None if found.code == "und" else found.code


def same_script(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether two sets of texts are written in one script; texts without letters fit any."""
    one, other = (script_of(" ".join(text[:100] for text in texts[:20])) for texts in (wanted, found))
    return not one or not other or one == other
