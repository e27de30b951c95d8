"""What a task wants, read off its demonstrations: how inputs are built, which options they list, what they look like.

In: a task. Out: `Wanted`, one frozen value that proposing and scoring of plans share, so that a demonstration is
interpreted once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from upcycle.contract import Contract, Kind, listed_options, without_options
from upcycle.methods.datatune.plans.values import same
from upcycle.methods.datatune.search.shapes import Shape, shape
from upcycle.task import Task


class Frame(NamedTuple):
    """The fixed text around the changing parts of an input: `pieces[0] + slot + pieces[1] + slot + ...`."""

    slots: tuple[str, ...]
    pieces: tuple[str, ...]

    def filled(self, columns: Sequence[str]) -> str:
        """The template that takes these columns."""
        out = self.pieces[0]
        for column, piece in zip(columns, self.pieces[1:], strict=True):
            out += "{" + column + "}" + piece
        return out


class Relation(NamedTuple):
    """Options that state one relation in both orders: "X because Y", "Y because X".

    Attributes:
        roles: roles of the two clauses as the right option states them, in order.
        template: the statement over the two roles.
    """

    roles: tuple[str, str]
    template: str
    lower_second: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the demonstrations ask of a plan.

    Attributes:
        stems: inputs without their option lines.
        fixed_stem: the text all inputs share, where only the options differ.
        fixed_options: the options all inputs list, where only the text differs (a label task in disguise).
    """

    contract: Contract
    stems: tuple[str, ...]
    outputs: tuple[str, ...]
    input: Shape
    output: Shape
    frame: Frame | None
    fixed_stem: str | None
    fixed_options: tuple[str, ...] | None
    relation: Relation | None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The closed set of outputs, if there is one."""
        return self.contract.labels if self.contract.kind == Kind.LABEL else self.fixed_options

    @property
    def capital(self) -> str:
        """How outputs open: "upper" or "lower" where all demonstrations agree, else "keep"."""
        firsts = {text[:1].isupper() for text in self.outputs if text[:1].isalpha()}
        return _agreed(firsts, "upper", "lower")

    @property
    def stop(self) -> str:
        """Whether outputs end in a full stop: "add" or "drop" where all demonstrations agree, else "keep"."""
        ends = {text.rstrip().endswith(".") for text in self.outputs}
        return _agreed(ends, "add", "drop")


def _agreed(said: set[bool], yes: str, no: str) -> str:
    return "keep" if len(said) != 1 else yes if True in said else no


def wanted_by(task: Task) -> Wanted:
    """Read a task's demonstrations."""
    inputs = [d.input for d in task.demonstrations]
    choice = task.contract.kind == Kind.CHOICE
    stems = tuple(without_options(text) if choice else text for text in inputs)
    options = [listed_options(text) for text in inputs] if choice else []
    outputs = tuple(d.output.strip() for d in task.demonstrations)
    fixed = len(stems) >= 2 and len(set(stems)) == 1
    return Wanted(
        contract=task.contract,
        stems=stems,
        outputs=outputs,
        input=shape(stems),
        output=shape(outputs),
        frame=None if fixed else _frame(stems),
        fixed_stem=stems[0] if fixed and choice else None,
        fixed_options=_fixed_options(options),
        relation=_relation(options, outputs),
    )


def _fixed_options(options: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    sets = {tuple(sorted(one)) for one in options}
    return sets.pop() if len(options) >= 2 and len(sets) == 1 else None


_LABEL = re.compile(r"(?:^|(?<=\s))([A-Z][\w-]*(?: [\w-]+){0,2}):(?=\s)")
_QUOTES = ("'", '"')


def _frame(stems: Sequence[str]) -> Frame | None:
    """Labelled parts ("Premise: ... Hypothesis: ...") or an opening line that all inputs share."""
    if len(stems) < 2:
        return None
    found = [[match[1] for match in _LABEL.finditer(stem)] for stem in stems]
    if found[0] and all(labels == found[0] for labels in found) and all(_LABEL.match(stem) for stem in stems):
        return _labelled(stems, found[0])
    lines = [stem.split("\n", 1) for stem in stems]
    if all(len(parts) == 2 for parts in lines) and len({parts[0] for parts in lines}) == 1:
        return Frame(("",), (lines[0][0] + "\n", ""))
    return None


def _labelled(stems: Sequence[str], labels: Sequence[str]) -> Frame:
    rows = [_between(stem) for stem in stems]
    pieces = [""]
    for number, label in enumerate(labels):
        inner = [row[number] for row in rows]
        quote = next((quote for quote in _QUOTES if all(_quoted(text.strip(), quote) for text in inner)), "")
        lead = re.match(r"\s*", inner[0])
        tail = re.search(r"\s*$", inner[0])
        pieces[-1] += f"{label}:{lead[0] if lead else ' '}{quote}"
        pieces.append(quote + (tail[0] if tail and number < len(labels) - 1 else ""))
    return Frame(tuple(label.lower() for label in labels), tuple(pieces))


def _quoted(text: str, quote: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == quote


def _between(stem: str) -> list[str]:
    marks = list(_LABEL.finditer(stem))
    ends = [match.start() for match in marks[1:]] + [len(stem)]
    return [stem[match.end() : end] for match, end in zip(marks, ends, strict=True)]


_CONNECTIVES: Mapping[str, tuple[str, str]] = {
    "because": ("effect", "cause"),
    "since": ("effect", "cause"),
    "as": ("effect", "cause"),
    "so": ("cause", "effect"),
    "therefore": ("cause", "effect"),
    "thus": ("cause", "effect"),
    "hence": ("cause", "effect"),
    "before": ("earlier", "later"),
    "after": ("later", "earlier"),
}


def _relation(options: Sequence[Sequence[str]], outputs: Sequence[str]) -> Relation | None:
    """The relation, where each demonstration lists the same two clauses in both orders around one connective."""
    if len(options) < 2 or any(len(one) != 2 for one in options):
        return None
    for word, roles in _CONNECTIVES.items():
        cut = re.compile(rf"^(.+?)(,? {word},? )(.+)$", re.DOTALL)
        if all(_reversed(cut, one) for one in options):
            right = [match for output in outputs if (match := cut.match(output))]
            seconds = [match[3] for match in right]
            lower = sum(text[:1].islower() for text in seconds) * 2 > len(seconds)
            stop = "." if all(output.rstrip().endswith(".") for output in outputs) else ""
            return Relation(roles, "{" + roles[0] + "}" + right[0][2] + "{" + roles[1] + "}" + stop, lower)
    return None


def _reversed(cut: re.Pattern[str], options: Sequence[str]) -> bool:
    one, other = (cut.match(option) for option in options)
    if not one or not other:
        return False
    return (same(one[1]), same(one[3])) == (same(other[3]), same(other[1]))
