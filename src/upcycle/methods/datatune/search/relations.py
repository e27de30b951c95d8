"""Plans for statements of two parts: of cause and effect, of earlier and later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.plans.steps import (
    Clause,
    Filter,
    OptionsFrom,
    OrderByDirection,
    ShuffleOptions,
    Step,
    Template,
)
from upcycle.methods.datatune.search.columns import Offer
from upcycle.methods.datatune.search.options import picked
from upcycle.methods.datatune.search.wanted import Wanted
from upcycle.methods.datatune.search.ways import inputs_of, plan_of


def relations(wanted: Wanted, offer: Offer, card: Any) -> Iterator[Plan]:
    """Plans whose options are the statement with its parts in the right order and in the wrong one."""
    relation = wanted.relation
    assert relation is not None
    for steps in _roles(relation.roles, offer):
        first, second = relation.roles
        swapped = relation.template.replace("{" + first + "}", "\0").replace("{" + second + "}", "{" + first + "}")
        written: tuple[Step, ...] = (
            # In the right statement a pronoun would come before what it stands for, in the wrong one after it:
            # a reader could tell them apart by that alone.
            *(Filter(field=role, not_matches=_NO_CLAUSE) for role in relation.roles),
            *(Clause(field=role, into=f"{role}_opening", first="upper") for role in relation.roles),
            *(
                Clause(field=role, into=f"{role}_within", first="lower" if relation.lower_second else "keep")
                for role in relation.roles
            ),
            Template(text=_placed(relation.template, first, second), into="right"),
            Template(text=_placed(swapped.replace("\0", "{" + second + "}"), second, first), into="wrong"),
            OptionsFrom(fields=("right", "wrong")),
            ShuffleOptions(),
        )
        for way in inputs_of(wanted, offer):
            yield plan_of(card, (*steps, *written), way.template, "{right}", "options")


_NO_CLAUSE = r"(?i)^\W*(he|she|it|they|his|her|its|their|this|that|these|those)\b|[?!]|\bthus\b"


def _placed(template: str, opening: str, within: str) -> str:
    return template.replace("{" + opening + "}", "{" + opening + "_opening}").replace(
        "{" + within + "}", "{" + within + "_within}"
    )


def _roles(roles: tuple[str, str], offer: Offer) -> Iterator[tuple[Step, ...]]:
    """Steps after which each role is a field of its own name."""
    if all(role in offer.columns and offer.columns[role].is_text for role in roles):
        yield ()
    premises = [column for column in offer.inputs() if not any(column.name in way.reads() for way in picked(offer))]
    for direction in offer.columns.values():
        said = {text.casefold() for text in direction.texts}
        if direction.is_list or not said or not said <= _asked(roles[0]) | _asked(roles[1]):
            continue
        for way in picked(offer):
            for premise in premises:
                yield (
                    *way.steps,
                    OrderByDirection(
                        first=premise.name,
                        second="answer",
                        direction=direction.name,
                        keep_when=tuple(sorted(_asked(roles[1]))),
                        swap_when=tuple(sorted(_asked(roles[0]))),
                        into=roles,
                    ),
                )


_ALSO = {"cause": {"reason"}, "effect": {"result"}}


def _asked(role: str) -> set[str]:
    """What a direction column says when it asks for this role."""
    return {role} | _ALSO.get(role, set())
