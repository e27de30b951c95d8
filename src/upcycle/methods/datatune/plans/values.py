"""What steps do to one value: numbers, sentences, options, clauses, docstrings. Pure functions, no records, no seeds.

Each returns None where the value cannot be read with certainty: a step then skips the record, because a wrong example
costs more than a missing one.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from upcycle.methods.datatune.plans.actions import is_verb


def text_of(value: Any) -> str:
    """A field as text: lists joined by commas, whole floats without ".0", nothing for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(text_of(item) for item in value)
    return str(value)


def list_of(value: Any) -> list[str] | None:
    """A field as a list of texts, or None where it is no list."""
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (dict, list)) for item in value):
        return [" ".join(text_of(item).split()) for item in value]
    return None


def same(text: str) -> str:
    """Form in which two texts are compared: no case, no spaces or punctuation around, single spaces."""
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'`")


_MONEY = "$£€ "
_FRACTION = re.compile(r"[-+]?\d+\s*/\s*\d+")
_PLAIN = re.compile(r"([-+]?)(\d{1,3}(?:,\d{3})+|\d+)?(\.\d+)?(%?)")


def format_number(value: Any) -> str | None:
    """A number written plainly, or None: "39.0" is "39", "1,000" is "1000", "$5.50" is "5.5", "3/4" stays."""
    text = text_of(value).strip().rstrip(".").strip(_MONEY).replace("−", "-")
    if _FRACTION.fullmatch(text):
        return text.replace(" ", "")
    found = _PLAIN.fullmatch(text)
    if not found or not (found[2] or found[3]):
        return None
    whole = (found[2] or "0").replace(",", "").lstrip("0") or "0"
    decimals = (found[3] or "").rstrip("0").rstrip(".")
    sign = "-" if found[1] == "-" and (whole != "0" or decimals) else ""
    return f"{sign}{whole}{decimals}{found[4]}"


def number_value(text: str) -> Fraction | None:
    """The number a text stands for, for comparing "1,000" with "1000.0"; None where it is none."""
    plain = format_number(text)
    if plain is None:
        return None
    try:
        return Fraction(plain.rstrip("%")) / (100 if plain.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        return None


def after(text: str, delimiter: str) -> str | None:
    """The text after the last `delimiter`, or None."""
    _, found, rest = text.rpartition(delimiter)
    return rest.strip() or None if found else None


def before(text: str, delimiters: Sequence[str]) -> str | None:
    """The text before the first of the delimiters, all of it where there is none, or None where nothing is left."""
    ends = [place for delimiter in delimiters if (place := text.find(delimiter)) >= 0]
    return text[: min(ends, default=len(text))].strip() or None


_ABBREVIATIONS = ("e.g", "i.e", "etc", "cf", "vs", "Mr", "Mrs", "Ms", "Dr", "St", "No", "Fig", "approx", "resp", "incl")
_END = re.compile(
    r"(?<=[.!?])[\"')\]]*(?=\s+[\"'(\[`]?[A-Z0-9`])"
    r"|(?<=\w\w\w\w[.!?])(?=\s+[a-z])"  # many sentences of docstrings open in lower case
    r"|\n\s*\n|[。！？]"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text; a blank line ends one too, and an abbreviation does not."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        piece = text[start : match.end()]
        if piece.rstrip().removesuffix(".").endswith(_ABBREVIATIONS) and "\n\n" not in match[0]:
            continue
        if piece.strip():
            found.append(" ".join(piece.split()))
        start = match.end()
    if text[start:].strip():
        found.append(" ".join(text[start:].split()))
    return found


_PREFIX = re.compile(r"\s*[(\[]?\s*([A-Za-z]|\d{1,2})\s*(?:[)\]][.:]?|[.:](?=\s|\D))\s*")


def strip_options(options: Sequence[str]) -> list[str]:
    """Options without prefixes such as "A)", "(b) " or "3."; only where all have one and they stand in order."""
    found = [_PREFIX.match(option) for option in options]
    marks = [match[1].upper() for match in found if match]
    if len(marks) < len(options) or marks not in (_letters(len(marks)), _numbers(len(marks))):
        return list(options)
    return [option[match.end() :].strip() for option, match in zip(options, found, strict=True) if match]


def _letters(count: int) -> list[str]:
    return [chr(ord("A") + i) for i in range(count)]


def _numbers(count: int) -> list[str]:
    return [str(i + 1) for i in range(count)]


def option_at(options: Sequence[str], key: Any, by: str, labels: Sequence[str] | None = None) -> int | None:
    """Which option `key` means when it is read as `by`, or None."""
    text = text_of(key[0] if isinstance(key, list) and len(key) == 1 else key).strip()
    if by == "text":
        places = [i for i, option in enumerate(options) if same(option) == same(text)]
        return places[0] if len(places) == 1 else None
    if by == "label":
        return list(labels).index(text) if labels and text in labels else None
    if by == "letter":
        bare = text.strip("().[]: ").upper()
        place = ord(bare) - ord("A") if len(bare) == 1 and "A" <= bare <= "Z" else -1
    else:
        place = int(text) - (by == "number") if text.isdecimal() else -1
    return place if 0 <= place < len(options) else None


def strip_opening(text: str, openings: Sequence[str]) -> str | None:
    """The text after one of the opening phrases, longest first, or None."""
    for opening in sorted(openings, key=len, reverse=True):
        if text[: len(opening)].casefold() == opening.casefold() and text[len(opening) :].strip():
            return text[len(opening) :].strip()
    return None


_FUNCTION = """
a an the this that these those my your his her its our their he she it we they you there some many
most several all both each every no one two three four five six seven eight nine ten people in on at
after before when while because since as if although during by for from with without to of and but
or so not what who everyone everybody someone somebody nobody everything something anyone
"""
_FUNCTION_WORDS = frozenset(_FUNCTION.split())


def lower_first(text: str, is_word: Callable[[str], bool], is_name: Callable[[str], bool]) -> str | None:
    """The text with a small first letter, unless its first word is a name, an acronym or "I"; None where unsure.

    Args:
        is_word: whether a word (in lower case) is known without a capital: then its capital came from the sentence.
        is_name: whether a word is known with a capital inside sentences.
    """
    found = re.match(r"[\W_]*([\w'’-]+)", text)
    if not found or not found[1][0].isupper():
        return text
    bare = re.sub(r"['’](s|re|ve|d|ll|m|t)$", "", found[1])
    if bare == "I" or (len(bare) > 1 and not bare[1:].islower()):
        return text
    if bare.lower() in _FUNCTION_WORDS or is_word(bare.lower()):
        at = found.start(1)
        return text[:at] + text[at].lower() + text[at + 1 :]
    if is_name(bare):
        return text
    after_it = re.match(r"\s+(\w+)", text[found.end() :])
    if after_it and after_it[1] in _FUNCTION_WORDS and is_verb(bare.lower()):
        return lower_first(text, bare.lower().__eq__, is_name)  # "Add the", but not "Mark ran"
    return None


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


class Split(NamedTuple):
    """Python text taken apart."""

    code: str
    docstring: str


def docstring_split(text: str) -> Split | None:
    """Code without the docstring of its last documented function or class, and that docstring; None without one."""
    text = textwrap.dedent(text.replace("\r\n", "\n")).strip("\n")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in tree.body if isinstance(node, kinds) and ast.get_docstring(node)]
    if not found:
        return None
    node = found[-1]
    first = node.body[0]
    lines = text.split("\n")
    rest = lines[: first.lineno - 1] + lines[first.end_lineno or first.lineno :]
    if len(node.body) == 1:
        return None  # nothing is left to describe
    if first.lineno == node.lineno:
        return None  # the docstring shares its line with code
    return Split("\n".join(rest).strip("\n"), ast.get_docstring(node) or "")
