"""Which columns of a labelled dataset are the input and the output, and how a row of it is read as an example.

In: the flat columns of a dataset and a sample of its rows; or a mapping the user gives. Out: a `Reading`, which turns
the fields of one row into input, output, options and rationale, or says why it cannot. The decision: columns are
recognised by the names that datasets usually give them and by nothing else, because a wrong guess would be silent;
what is not recognised is asked for in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from upcycle.contract import listed_options, with_options
from upcycle.errors import SourceError

Columns = Mapping[str, str | Sequence[str]]
"""What the user says of the columns: "input" (one or several), "output", and where wanted "choices" and "rationale"."""

_OUTPUTS = (
    *("output", "completion", "response", "target", "label", "answer", "answerkey", "correct", "answers"),
    *("answers.text", "gold", "class", "category", "intent", "sentiment", "labels", "final_decision", "sql", "y"),
    *("summary", "translation", "solution", "docstring", "canonical_solution", "code"),
)
_CONTEXTS = (
    *("premise", "context", "passage", "paragraph", "article", "dialogue", "dialog", "story", "document", "background"),
    *("sentence", "sentence1", "question1", "text1", "sentence_a"),
)
_ASKED = ("hypothesis", "question", "query", "sentence2", "question2", "text2", "sentence_b")
_INPUTS = (
    *("input", "prompt", "question", "text", "sentence", "problem", "query", "utterance", "review", "claim"),
    *("statement", "x", "instruction", "symptoms", "content", "body", "message", "comment", "tweet", "source"),
    *("document", "article", "premise", "nl"),
)
_CHOICES = ("choices", "options", "choice", "choices.text", "options.text", "endings")
_KEYS = ("choices.label", "options.label", "labels")
_RATIONALES = ("rationale", "explanation", "reasoning", "analysis")
_ONE_EACH = re.compile(r"(choice|option|opt|op|ending)[_ ]?([0-9]|[a-h])", re.IGNORECASE)
_PREFIX = re.compile(r"\(?([A-Ha-h])[).:．、]\s*")
_TURNS = (("messages.role", "messages.content"), ("conversations.from", "conversations.value"))
_ASSISTANT = frozenset({"assistant", "gpt", "model", "bot"})


class Read(NamedTuple):
    """A row read: what an example is made of."""

    input: str
    output: str
    choices: tuple[str, ...] | None = None
    rationale: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Which columns are what.

    Attributes:
        inputs: columns of the input; several become lines that begin with their names.
        choices: the column that lists the options, or the columns that hold one each.
        keys: the column with the options' letters, where there is one.
        first: number of the first option where the output is a number.
        turns: columns of roles and texts of a conversation; the others are empty then.
    """

    inputs: tuple[str, ...]
    output: str
    choices: tuple[str, ...] = ()
    keys: str | None = None
    rationale: str | None = None
    first: int = 0
    turns: tuple[str, str] | None = None

    def described(self) -> str:
        """One line for people: which column is what."""
        if self.turns:
            return f"input and output are the turns of {self.turns[1].split('.')[0]}"
        told = f"input is {' + '.join(self.inputs)}, output is {self.output}"
        return f"{told}, options are {', '.join(self.choices)}" if self.choices else told

    def read(self, fields: Mapping[str, Any]) -> Read | str:
        """The example this row is, or why it is none."""
        if self.turns is not None:
            return _conversation(fields, self.turns)
        text = self._input(fields)
        options = self._options(fields)
        if isinstance(options, str):
            return options
        output = fields.get(self.output)
        if isinstance(output, list):
            output = _only(output)
        if isinstance(output, dict):
            return f"its {self.output!r} is a nested value, not text"
        if output is None or (isinstance(output, str) and not output.strip()):
            return f"it has no output (column {self.output!r})"
        if not text.strip() and not options:
            return f"it has no input (column {' + '.join(map(repr, self.inputs))})"
        output = as_text(output)
        if options:
            chosen = self._chosen(output, options, fields)
            if chosen is None:
                return f"its output {output[:60]!r} is none of its {len(options)} options"
            output = chosen
            if not listed_options(text):
                text = with_options(text, options)
        rationale = fields.get(self.rationale) if self.rationale else None
        return Read(text, output, tuple(options) or None, as_text(rationale) if rationale else None)

    def _input(self, fields: Mapping[str, Any]) -> str:
        parts = [(name, as_text(fields.get(name))) for name in self.inputs]
        if len(parts) == 1:
            return parts[0][1]
        if self.inputs == ("instruction", "input"):
            return "\n\n".join(text for _, text in parts if text)
        return "\n".join(f"{_title(name)}: {text}" for name, text in parts if text)

    def _options(self, fields: Mapping[str, Any]) -> list[str] | str:
        if not self.choices:
            return []
        if len(self.choices) > 1:
            found = [as_text(fields.get(name)) for name in self.choices]
        else:
            value = fields.get(self.choices[0])
            if value is None or value == []:
                return []
            if not isinstance(value, list):
                return f"its {self.choices[0]!r} is not a list of options"
            found = [as_text(option) for option in value]
        options = [" ".join(option.split()) for option in found]
        marks = [_PREFIX.match(option) for option in options]
        if len(options) > 1 and all(mark and mark[1].upper() == chr(65 + number) for number, mark in enumerate(marks)):
            options = [_PREFIX.sub("", option, count=1) for option in options]
        return options

    def _chosen(self, output: str, options: Sequence[str], fields: Mapping[str, Any]) -> str | None:
        flat = " ".join(output.split())
        if flat in options:
            return flat
        keys = fields.get(self.keys) if self.keys else None
        if isinstance(keys, list) and flat in map(str, keys):
            number = list(map(str, keys)).index(flat)
        elif len(flat) == 1 and flat.upper() in "ABCDEFGH":
            number = ord(flat.upper()) - 65
        elif flat.isdecimal():
            number = int(flat) - self.first
        else:
            return None
        return options[number] if 0 <= number < len(options) else None


def reading_of(names: Sequence[str], sample: Sequence[Mapping[str, Any]], given: Columns | None = None) -> Reading:
    """How rows with these columns are read.

    Args:
        names: the flat columns.
        sample: some rows, to see whether numbered options begin with 0 or 1.
        given: what the user says of the columns; the rest is recognised.

    Raises:
        SourceError: a column that is not there, or none is recognised; the sentence says how to name them.
    """
    said = _said(names, given or {})
    turns = next((pair for pair in _TURNS if set(pair) <= set(names)), None)
    if turns and not said:
        return Reading((), "", turns=turns)
    lower = {name.lower(): name for name in reversed(names)}
    choices = said.get("choices") or _choices_of(lower)
    output = said.get("output") or _first(lower, _OUTPUTS, but=choices)
    inputs = said.get("input") or _inputs_of(lower, names, used=(*output, *choices))
    rationale = said.get("rationale") or _first(lower, _RATIONALES, but=(*output, *inputs))
    if not output or not inputs:
        what = "input" if output else "output" if inputs else "input and which the output"
        raise SourceError(
            f"it is not clear which column is the {what} among {', '.join(names[:12]) or 'none'}{_more(names)};"
            " say it with --columns input=NAME,output=NAME"
        )
    keys = _first(lower, _KEYS, but=(*output, *choices)) if choices else ()
    first = _first_number(sample, output[0], choices) if choices else 0
    return Reading(inputs, output[0], choices, *(keys or (None,)), *(rationale or (None,)), first=first)


def as_text(value: Any) -> str:
    """A value as the text of an example: lines for a list, "true" and "false", nothing for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(map(as_text, value))
    return str(value)


def _said(names: Sequence[str], given: Columns) -> dict[str, tuple[str, ...]]:
    said: dict[str, tuple[str, ...]] = {}
    for role, value in given.items():
        if role not in ("input", "output", "choices", "rationale"):
            raise SourceError(f"columns are named for input, output, choices and rationale, not for {role!r}")
        said[role] = tuple(value.split("+") if isinstance(value, str) else value)
        for name in said[role]:
            if name not in names:
                raise SourceError(f"there is no column {name!r}; there are {', '.join(names[:20])}{_more(names, 20)}")
        if role in ("output", "rationale") and len(said[role]) != 1:
            raise SourceError(f"one column is the {role}, not {len(said[role])}")
    return said


def _more(names: Sequence[str], shown: int = 12) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def _first(lower: Mapping[str, str], wanted: Sequence[str], but: Sequence[str] = ()) -> tuple[str, ...]:
    return next(((lower[name],) for name in wanted if name in lower and lower[name] not in but), ())


def _choices_of(lower: Mapping[str, str]) -> tuple[str, ...]:
    numbered = {match[2]: name for low, name in lower.items() if (match := _ONE_EACH.fullmatch(low))}
    if len(numbered) >= 2:
        return tuple(numbered[key] for key in sorted(numbered))
    return _first(lower, _CHOICES)


def _inputs_of(lower: Mapping[str, str], names: Sequence[str], used: Sequence[str]) -> tuple[str, ...]:
    free = {low: name for low, name in lower.items() if name not in used}
    if {"instruction", "input"} <= set(free):
        return free["instruction"], free["input"]
    if "input" in free:
        return (free["input"],)
    context, asked = _first(free, _CONTEXTS), _first(free, _ASKED)
    if context and asked:
        return *context, *asked
    if found := _first(free, _INPUTS) or context or asked:
        return found
    rest = [name for name in names if name not in used]
    return tuple(rest) if len(rest) == 1 else ()


def _first_number(sample: Sequence[Mapping[str, Any]], output: str, choices: Sequence[str]) -> int:
    """Whether numbered answers begin with 0 or with 1: seen in the sample, 0 where it does not say."""
    numbers = [int(text) for row in sample if (text := as_text(row.get(output)).strip()).isdecimal()]
    if not numbers or 0 in numbers:
        return 0
    most = max((len(choices) if len(choices) > 1 else len(row.get(choices[0]) or ()) for row in sample), default=0)
    return 1 if max(numbers) == most else 0


def _only(values: list[Any]) -> Any:
    """The value a list stands for: several annotators' answers are one where they agree, else the first of them."""
    return next((value for value in values if value not in (None, "")), None)


def _title(name: str) -> str:
    return name.replace("_", " ").replace(".", " ").strip().capitalize()


def _conversation(fields: Mapping[str, Any], turns: tuple[str, str]) -> Read | str:
    roles, texts = (fields.get(name) for name in turns)
    if not isinstance(roles, list) or not isinstance(texts, list) or len(roles) != len(texts):
        return f"its {turns[1].split('.')[0]!r} is not a conversation"
    last = next((n for n in range(len(roles) - 1, -1, -1) if roles[n] in _ASSISTANT), None)
    if last is None or not as_text(texts[last]).strip():
        return "it has no output (no turn of an assistant)"
    before = [(str(role), as_text(text)) for role, text in zip(roles[:last], texts[:last], strict=True) if text]
    if not before:
        return "it has no input (no turn before the assistant's)"
    if len([1 for role, _ in before if role != "system"]) == 1:
        return Read("\n\n".join(text for _, text in before), as_text(texts[last]))
    return Read("\n".join(f"{role.capitalize()}: {text}" for role, text in before), as_text(texts[last]))
