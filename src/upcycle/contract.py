"""The contract: what every output must satisfy, inferred from the demonstrations and editable.

`infer_contract(pairs)` reads the user's demonstrations; `Contract.violation(...)` judges one example. Anything the
user gives wins over what was inferred, and what was only inferred as a habit (the usual length) warns but never
drops: three demonstrations cannot say how long a fourth may be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from upcycle.language import detect, looks_like_code

CHOICE_MARK = "choice: "
"""How a multiple-choice input lists an option, one a line."""


class Kind(StrEnum):
    """What an output is."""

    LABEL = "label"
    CHOICE = "choice"
    TEXT = "text"
    NUMBER = "number"
    CODE = "code"
    SPAN = "span"


class Contract(BaseModel):
    """What every output must satisfy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Kind.TEXT
    """label: one of a closed set; choice: one of the options the input lists; span: copied from the input."""
    labels: tuple[str, ...] | None = Field(None, description="The closed label set.")
    options: tuple[int, int] | None = Field(None, description="Fewest and most options an input lists.")
    min_chars: int | None = Field(None, ge=0, description="Shorter outputs are dropped (only if you give it).")
    max_chars: int | None = Field(None, ge=1, description="Longer outputs are dropped (only if you give it).")
    language: str | None = Field(None, description="ISO 639-1 code of the examples' language.")
    usual_chars: tuple[int, int] | None = Field(None, description="Output lengths seen; outside of it only warns.")

    def violation(self, input: str, output: str, choices: Sequence[str] | None = None) -> str | None:  # noqa: A002
        """Why this example breaks the contract, or None. Costs no model."""
        if not input.strip():
            return "the input is empty"
        if not output.strip():
            return "the output is empty"
        if self.min_chars is not None and len(output) < self.min_chars:
            return f"the output has {len(output)} characters, fewer than {self.min_chars}"
        if self.max_chars is not None and len(output) > self.max_chars:
            return f"the output has {len(output)} characters, more than {self.max_chars}"
        match self.kind:
            case Kind.LABEL:
                return (
                    None if self.labels is None or output in self.labels else f"{output[:60]!r} is not in the label set"
                )
            case Kind.CHOICE:
                return _choice_violation(self, input, output, choices)
            case Kind.NUMBER:
                return None if is_number(output) else f"{output[:60]!r} is not a number"
            case Kind.SPAN:
                return None if output in input else "the output is not copied from the input"
            case Kind.CODE:
                return None if looks_like_code(output) or parses(output) else "the output is not code"
            case Kind.TEXT:
                return None

    def described(self) -> str:
        """One line for people: kind, labels or options, language, lengths."""
        parts = [self.kind.value]
        if self.labels:
            parts.append("one of " + ", ".join(map(repr, self.labels)))
        if self.options:
            low, high = self.options
            parts.append(f"{low if low == high else f'{low} to {high}'} options, listed in the input")
        if self.language:
            parts.append(f"language {self.language}")
        if self.min_chars is not None or self.max_chars is not None:
            parts.append(f"{self.min_chars or 0} to {self.max_chars or 'any'} characters")
        elif self.usual_chars and self.kind in (Kind.TEXT, Kind.CODE):
            parts.append("usually {} to {} characters (warns only)".format(*self.usual_chars))
        return "; ".join(parts)


def infer_contract(pairs: Sequence[tuple[str, str]], *, language: str | None = None) -> Contract:
    """Read the contract off (input, output) pairs; with none it is free text in `language`."""
    outputs = [output for _, output in pairs]
    language = language or detect_task_language(pairs)
    if not outputs:
        return Contract(language=language)
    lengths = (min(map(len, outputs)), max(map(len, outputs)))
    listed = [listed_options(text) for text, _ in pairs]
    if all(len(o) >= 2 and _same(out, o) for o, out in zip(listed, outputs, strict=True)):
        counts = [len(options) for options in listed]
        return Contract(kind=Kind.CHOICE, options=(min(counts), max(counts)), language=language, usual_chars=lengths)
    if all(is_number(output) for output in outputs):
        return Contract(kind=Kind.NUMBER, language=language, usual_chars=lengths)
    if _labels_repeat(outputs):
        labels = tuple(dict.fromkeys(outputs))
        return Contract(kind=Kind.LABEL, labels=labels, language=language, usual_chars=lengths)
    if all(looks_like_code(output) or ("\n" in output and parses(output)) for output in outputs):
        return Contract(kind=Kind.CODE, language=language, usual_chars=lengths)
    copied = all(out in text and len(out) < 0.5 * len(text) for text, out in pairs)
    kind = Kind.SPAN if copied and len(outputs) >= 2 else Kind.TEXT
    return Contract(kind=kind, language=language, usual_chars=lengths)


def listed_options(text: str) -> list[str]:
    """The options a multiple-choice input lists: the text after `choice: ` on its last lines."""
    options: list[str] = []
    for line in reversed(text.split("\n")):
        if not line.startswith(CHOICE_MARK.rstrip()):
            break
        options.append(line[len(CHOICE_MARK.rstrip()) :].strip())
    return options[::-1]


def without_options(text: str) -> str:
    """A multiple-choice input without its option lines."""
    lines = text.split("\n")
    while lines and lines[-1].startswith(CHOICE_MARK.rstrip()):
        lines.pop()
    return "\n".join(lines)


def with_options(text: str, options: Sequence[str]) -> str:
    """A multiple-choice input: the text, then one `choice: OPTION` line per option."""
    return "\n".join([*([text] if text else []), *(CHOICE_MARK + " ".join(option.split()) for option in options)])


_NUMBER = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?(e[-+]?\d+)?%?", re.IGNORECASE)


def is_number(text: str) -> bool:
    """Whether `text` is one number: digits, sign, thousands commas, decimals, exponent, percent."""
    text = text.strip()
    return any(c.isdigit() for c in text) and _NUMBER.fullmatch(text) is not None


def parses(text: str) -> bool:
    """Whether `text` is valid Python."""
    import ast

    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def detect_task_language(pairs: Sequence[tuple[str, str]]) -> str | None:
    """Language most of the demonstrations' words are in, or None when they do not say."""
    votes: Counter[str] = Counter()
    for text, output in pairs:
        for part in (without_options(text), output):
            found = detect(part)
            if found.code != "und":
                votes[found.code] += 1
    return votes.most_common(1)[0][0] if votes else None


def _choice_violation(contract: Contract, text: str, output: str, choices: Sequence[str] | None) -> str | None:
    options = list(choices) if choices is not None else listed_options(text)
    if output not in options:
        return "the answer is not one of the options the input lists"
    if len(set(options)) < len(options):
        return "two options are the same"
    if contract.options and not contract.options[0] <= len(options) <= contract.options[1]:
        low, high = contract.options
        return f"{len(options)} options, not {low if low == high else f'{low} to {high}'}"
    return None


def _same(output: str, options: Sequence[str]) -> bool:
    return output.strip() in (option.strip() for option in options)


def _labels_repeat(outputs: Sequence[str]) -> bool:
    # A set is closed only where outputs repeat: three different sentences are no label set.
    short = all(len(output) <= 60 and len(output.split()) <= 6 for output in outputs)
    return short and len(outputs) >= 2 and len(set(outputs)) < len(outputs)
