"""The parts of an input, and of a dataset's outputs what can be told apart: what checks and students both read.

An input of several lines that begin with names ("Premise: ...", "Hypothesis: ...") has those parts; a multiple-choice
input has a text and options. Labels are outputs that are few, short and repeat.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from upcycle.contract import is_number, without_options
from upcycle.records import Example

_NAMED = re.compile(r"^([A-Z][\w ]{1,24}): ", re.MULTILINE)
_MOST_LABELS = 100
_MOST_NUMBERS = 10  # more of them are answers to sums, not names of classes
_LONGEST_LABEL = 60
_SAMPLE = 500


def label_counts(examples: Sequence[Example]) -> dict[str, int] | None:
    """How often each label is the output, most frequent first; None where outputs are no labels.

    Outputs are labels where they are short, no longer than six words, and each occurs five times on average.
    """
    counts = Counter(example.output for example in examples if not example.choices)
    if not counts or len(counts) > _MOST_LABELS or counts.total() < 5 * len(counts):
        return None
    if any(len(label) > _LONGEST_LABEL or len(label.split()) > 6 for label in counts):
        return None
    if len(counts) > _MOST_NUMBERS and all(map(is_number, counts)):
        return None
    return dict(counts.most_common())


def part_names(examples: Sequence[Example]) -> tuple[str, ...]:
    """Names that begin the lines of (nearly) every input, in their order; empty where inputs have no such parts."""
    some = examples[:: max(1, len(examples) // _SAMPLE)]
    found = Counter(tuple(dict.fromkeys(_NAMED.findall(without_options(example.input)))) for example in some)
    if not found:
        return ()
    names, count = found.most_common(1)[0]
    return names if len(names) >= 2 and count >= 0.8 * len(some) else ()


def cut_into_parts(text: str) -> list[str]:
    r"""The parts of one input, each with its name, in their order; none where it has fewer than two or a name repeats.

    Names that repeat are the speakers of a dialogue, and what they say is one text.

    >>> cut_into_parts("Premise: It rains.\nHypothesis: It is wet.")
    ['Premise: It rains.\n', 'Hypothesis: It is wet.']
    """
    found = list(_NAMED.finditer(text))
    names = {one[1] for one in found}
    if len(found) < 2 or len(names) < len(found):
        return []
    ends = [one.start() for one in found[1:]]
    return [text[start:end] for start, end in zip((0, *ends), (*ends, len(text)), strict=True)]


def parts_of(text: str, names: Sequence[str]) -> Mapping[str, str]:
    """The parts of one input by name; a part that is not there is empty."""
    text = without_options(text)
    found = dict.fromkeys(names, "")
    starts: list[tuple[int, str]] = []
    for name in names:
        at = 0 if text.startswith(f"{name}: ") else text.find(f"\n{name}: ")
        if at >= 0:
            starts.append((at, name))
    starts.sort()
    for number, (at, name) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else len(text)
        found[name] = text[at:end].lstrip("\n").removeprefix(f"{name}: ").strip()
    return found
