"""Which language a text is in: py3langid for words, scripts where the script settles it.

`detect` returns ISO 639-1 code and confidence, or `UNSURE` ("und", 0.0) for code, numbers and texts with fewer than
20 letters in a script that several languages share.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any, NamedTuple


class Language(NamedTuple):
    """An ISO 639-1 code ("und" when unsure) and how sure we are, 0 to 1."""

    code: str
    confidence: float


UNSURE = Language("und", 0.0)
_ENOUGH_LETTERS = 20
_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "GREEK": "el",
}
_ALONE = {"ja", "ko", "zh", "el"}


def detect(text: str) -> Language:
    """Language of `text`; only the first 2,000 characters are read."""
    text = text[:2000]
    letters = [c for c in text if c.isalpha()]
    script = _script(letters)
    if script in _ALONE and letters:
        return Language(script, 1.0)
    if len(letters) < _ENOUGH_LETTERS or looks_like_code(text):
        return UNSURE
    code, confidence = _model().classify(text)
    return Language(str(code), float(confidence))


def script_of(text: str) -> str:
    """Name of the script of most letters: "LATIN", "CYRILLIC", "CJK", ... or "" without letters."""
    counts: dict[str, int] = {}
    for char in text[:2000]:
        if char.isalpha():
            name = unicodedata.name(char, "").split(" ")[0].split("-")[0]
            counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name]) if counts else ""


_CODE_MARKS = (
    "def ",
    "return ",
    "import ",
    "print(",
    "self.",
    "():",
    " = ",
    "==",
    "lambda ",
    "};",
    "){",
    "->",
    "for (",
    "if (",
)


def looks_like_code(text: str) -> bool:
    """Whether `text` reads as program source: several marks of code and punctuation that prose seldom has."""
    marks = sum(mark in text for mark in _CODE_MARKS)
    symbols = sum(text.count(c) for c in "=(){}[];:_<>\n")
    return marks >= 2 and symbols > len(text) * 0.03


def _script(letters: list[str]) -> str:
    counts: dict[str, int] = {}
    for char in letters[:200]:
        if char.isascii():
            continue
        name = unicodedata.name(char, "").split(" ")[0].split("-")[0]
        code = _SCRIPTS.get(name)
        if code:
            counts[code] = counts.get(code, 0) + 1
    if not counts or sum(counts.values()) < 0.3 * min(len(letters), 200):
        return ""
    return "ja" if counts.get("ja", 0) else max(counts, key=lambda code: counts[code])


@cache
def _model() -> Any:
    """The identifier; loading takes 0.2 s and it is read-only, so one serves the process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
