"""The language check: drops an example with a field that is surely in another language than its field should be.

Two signs, per field. Scripts: the share of letters that the language is not written in, against what the
demonstrations hold. Words: py3langid, believed where it is sure and the text is long, and in a sentence or two where
small words of that language are there and none of the right one. Code, numbers and a few words pass. The decision:
text that is plainly English is recognised by its small words first, because asking the classifier about every row
costs more than all other checks together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from upcycle.contract import detect_task_language, listed_options, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.small_words import languages_read
from upcycle.errors import RowKind
from upcycle.language import detect
from upcycle.records import Example, Verdict
from upcycle.task import Demonstration

_SURE = 0.99
_ENOUGH_LETTERS = 80
_ENOUGH_LATIN = 20
_MOST_FOREIGN = 0.3  # share of letters in other scripts; names and quotations stay below
_FEWEST_FOREIGN = 6
_SAMPLE = 300
_AGREED = 0.95  # share of the rows that surely say a language
_READ = 2_000  # characters

_SMALL_WORDS = frozenset(
    ("the", "of", "and", "to", "that", "with", "this", "for", "you", "have", "from", "they", "his", "her", "are",
     "which", "were", "been", "their", "what", "would", "will", "when", "there", "if", "has", "had", "but", "not",
     "she", "who", "him", "them", "these", "your")
)  # fmt: skip
_WORD = re.compile(r"[a-z]+")


class Languages(NamedTuple):
    """Language of each field, None where it is not to be checked."""

    input: str | None
    output: str | None
    foreign: float = _MOST_FOREIGN
    """The largest share of letters in other scripts that passes."""


def languages_of(language: str | None, demonstrations: Sequence[Demonstration]) -> Languages:
    """What language each field should be in: that of the demonstrations' field, else the task's.

    A task may answer in another language than it asks (translation); a field whose demonstrations disagree with each
    other is not checked at all.
    """
    fields = {}
    for name in ("input", "output"):
        texts = [without_options(getattr(shown, name)) for shown in demonstrations]
        said = {detect(text).code for text in texts} - {"und"}
        fields[name] = None if len(said) > 1 else detect_task_language([(text, "") for text in texts]) or language
    parts = [part for shown in demonstrations for part in _fields(shown.input, shown.output)]
    texts = [(text, fields["input" if name == "input" else "output"]) for name, text in parts]
    shares = [foreign_letters(text, code)[0] for text, code in texts if code]
    return Languages(fields["input"], fields["output"], max([_MOST_FOREIGN, *(1.5 * share for share in shares)]))


def languages_in(examples: Sequence[Example]) -> Languages:
    """What language nearly all of a set is in, per field; None for a field whose rows do not agree or do not say."""
    some = examples[:: max(1, len(examples) // _SAMPLE)]
    found: dict[str, str | None] = {}
    for name in ("input", "output"):
        texts = (dict(_fields(example.input, example.output)).get(name, "")[:400] for example in some)
        said = Counter(language.code for language in map(detect, texts) if language.confidence >= _SURE)
        code, count = said.most_common(1)[0] if said else ("", 0)
        found[name] = code if count >= max(5, _AGREED * said.total()) else None
    return Languages(found["input"], found["output"])


def language_check(language: str | Languages) -> Check:
    """Drops an example with a field that is surely in another language."""
    wanted = language if isinstance(language, Languages) else Languages(language, language)

    def check(example: Example) -> Verdict:
        for name, text in _fields(example.input, example.output):
            code = wanted.input if name == "input" else wanted.output
            if code is not None and (found := _other(text, code, wanted.foreign, names=name == "options")) is not None:
                reason, score = found
                reason = f"the {name} {reason}, not {code}"
                return Verdict(keep=False, kind=RowKind.LANGUAGE, reason=reason, score=round(score, 3))
        return KEEP

    return check


def foreign_letters(text: str, language: str) -> tuple[float, int]:
    """Share and number of the letters that `language` is not written in; (0, 0) where that is not known."""
    own = _SCRIPTS.get(language, _LATIN)
    if text.isascii() and own is _LATIN:
        return 0.0, 0
    letters = sum(map(str.isalpha, text))
    if not letters:
        return 0.0, 0
    number = letters - len(own.findall(text)) - (len(_LATIN.findall(text)) if own is not _LATIN else 0)
    return max(0.0, number / letters), max(0, number)


def _fields(text: str, output: str) -> list[tuple[str, str]]:
    fields = [("input", without_options(text)[:_READ]), ("output", output[:_READ])]
    options = listed_options(text) if len(fields[0][1]) < len(text) else []
    # The answer is one of the options, so they say what the answer says and more.
    return [fields[0], ("options", " \n".join(options)[:_READ])] if options else fields


def _other(text: str, language: str, foreign: float, *, names: bool = False) -> tuple[str, float] | None:
    """Why `text` is not in `language`, with how sure that is; None where it is or nobody can say.

    Names ("Los Angeles", "El Paso") are in another language than the text they stand in.
    """
    share, number = foreign_letters(text, language)
    mixed = share > foreign and number >= _FEWEST_FOREIGN
    if not mixed and language == "en" and _plainly_english(text):
        return None
    letters = sum(map(str.isalpha, text))
    # A language with letters of its own can be told from Latin text by far fewer of them.
    latin = language in _SCRIPTS and letters >= _ENOUGH_LATIN and len(_LATIN.findall(text)) > 0.95 * letters
    read_as = set() if names or letters < _ENOUGH_LATIN else languages_read(text, language)
    if not mixed and not latin and letters < _ENOUGH_LETTERS and not read_as:
        return None
    found = detect(text)
    if latin and found.code not in ("und", language):
        return _named(found.code), found.confidence
    if mixed:
        code = found.code if found.code not in ("und", language) else None
        return (_named(code), found.confidence) if code else (f"has {share:.0%} letters of other scripts", share)
    sure = letters >= _ENOUGH_LETTERS and found.confidence >= _SURE
    if found.code not in ("und", language) and (sure or found.code in read_as):
        return _named(found.code), found.confidence
    return None


def _named(code: str) -> str:
    return "is in no known language" if code == "zxx" else f"is in {code}"


def _plainly_english(text: str) -> bool:
    words = _WORD.findall(text.lower())
    hits = [word for word in words if word in _SMALL_WORDS]
    return len(set(hits)) >= 4 and len(hits) >= 0.12 * len(words)


_LATIN = re.compile("[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_ARABIC = re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]")
_CJK = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")
_SCRIPTS = {
    **dict.fromkeys(("ru", "uk", "bg", "sr", "mk", "be", "kk", "mn", "ky"), _CYRILLIC),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ug"), _ARABIC),
    "zh": _CJK,
    "ja": re.compile(_CJK.pattern[:-1] + "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]"),
    "ko": re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af\u4e00-\u9fff]"),
    "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    **dict.fromkeys(("hi", "mr", "ne"), re.compile("[\u0900-\u097f]")),
    "th": re.compile("[\u0e00-\u0e7f]"),
    **{code: re.compile(f"[{first}-{last}]") for code, first, last in (
        ("bn", "\u0980", "\u09ff"), ("pa", "\u0a00", "\u0a7f"), ("gu", "\u0a80", "\u0aff"), ("ta", "\u0b80", "\u0bff"),
        ("te", "\u0c00", "\u0c7f"), ("kn", "\u0c80", "\u0cff"), ("ml", "\u0d00", "\u0d7f"), ("si", "\u0d80", "\u0dff"),
        ("lo", "\u0e80", "\u0eff"), ("ka", "\u10a0", "\u10ff"), ("am", "\u1200", "\u137f"), ("km", "\u1780", "\u17ff"),
        ("hy", "\u0530", "\u058f"),
    )},
}  # fmt: skip
"""Letters of languages that are not written in Latin letters; every other code is taken for one that is."""
