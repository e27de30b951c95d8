"""The checks every example passes before it is kept: contract, language, demonstrations, gold, duplicates.

`checks_for(task)` gives one function that asks them in the order of their cost and answers with the first verdict that
drops. The duplicate check remembers what was kept, so one instance serves a whole run, whatever methods feed it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from upcycle.contract import listed_options, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.contract import contract_check
from upcycle.curation.demonstrations import demonstration_check
from upcycle.curation.language import language_check, languages_of
from upcycle.errors import RowKind
from upcycle.records import Example, Verdict
from upcycle.task import Task

_GRAM = 13  # words; the length the field uses for contamination (GPT-3 and after)
_SHORT_GRAM = 8


def checks_for(task: Task) -> Check:
    """All checks of a task as one; the first that drops decides."""
    checks = [contract_check(task.contract)]
    if task.contract.language:
        checks.append(language_check(languages_of(task.contract.language, task.demonstrations)))
    if task.demonstrations:
        checks.append(demonstration_check([d.input for d in task.demonstrations]))
    if task.gold:
        checks.append(gold_check([(g.input, g.choices) for g in task.gold]))
    checks.append(duplicate_check())

    def check(example: Example) -> Verdict:
        for one in checks:
            verdict = one(example)
            if not verdict.keep:
                return verdict
        return KEEP

    return check


def gold_check(items: Sequence[tuple[str, Sequence[str] | None]]) -> Check:
    """Drops what repeats a gold item: the same words, or half of its word 13-grams (8-grams for short items).

    N-grams that many gold items share are the task's own wording and do not count.
    """
    words = [_words(_whole(text, choices)) for text, choices in items]
    exact = {_word_set_key(text, choices): number for number, (text, choices) in enumerate(items)}
    gram = _GRAM if sorted(map(len, words))[len(words) // 2] >= 2 * _GRAM else _SHORT_GRAM
    owners: dict[int, int] = {}
    counts: Counter[int] = Counter()
    for number, item in enumerate(words):
        grams = set(_grams(item, gram))
        counts.update(grams)
        for one in grams:
            owners.setdefault(one, number)
    common = {one for one, count in counts.items() if count > max(3, 0.02 * len(words))}

    def check(example: Example) -> Verdict:
        number = exact.get(_word_set_key(example.input, example.choices))
        if number is not None:
            return _contaminated(number, "has the same words as", 1.0)
        grams = [one for one in _grams(_words(_whole(example.input, example.choices)), gram) if one not in common]
        hits = Counter(owners[one] for one in grams if one in owners)
        if hits:
            number, count = hits.most_common(1)[0]
            share = count / max(1, min(len(grams), len(words[number]) - gram + 1))
            if share >= 0.5:
                return _contaminated(number, f"shares {share:.0%} of its word {gram}-grams with", share)
        return KEEP

    return check


def duplicate_check() -> Check:
    """Drops an example whose input and output were already kept (case and spacing ignored)."""
    seen: dict[int, int] = {}  # digests and ids as numbers: a million kept examples fit in about 130 MB

    def check(example: Example) -> Verdict:
        text = f"{_spaced(without_options(example.input))}\x1f{_spaced(example.output)}"
        digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        first = seen.setdefault(digest, _number(example.id))
        if first == _number(example.id):
            return KEEP
        return Verdict(
            keep=False,
            kind=RowKind.DUPLICATE,
            reason="repeats an example already kept",
            score=1.0,
            other=f"{first:016x}",
        )

    return check


def _number(identifier: str) -> int:
    return int(identifier, 16)


def _contaminated(number: int, how: str, score: float) -> Verdict:
    return Verdict(
        keep=False,
        kind=RowKind.CONTAMINATED,
        reason=f"{how} gold item {number + 1}",
        score=round(score, 3),
        other=f"gold {number + 1}",
    )


def _whole(text: str, choices: Sequence[str] | None) -> str:
    options = list(choices) if choices is not None else listed_options(text)
    return "\n".join([without_options(text), *options])


def _word_set_key(text: str, choices: Sequence[str] | None) -> tuple[str, ...]:
    # Options may stand in another order in the gold; everything else must be the same words in the same order.
    options = list(choices) if choices is not None else listed_options(text)
    return (_fold(without_options(text)), *sorted(map(_fold, options)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _fold(text: str) -> str:
    return " ".join(_words(text))


def _spaced(text: str) -> str:
    return " ".join(text.lower().split())


def _grams(words: Sequence[str], size: int) -> Iterable[int]:
    return (hash(tuple(words[i : i + size])) for i in range(len(words) - size + 1))
