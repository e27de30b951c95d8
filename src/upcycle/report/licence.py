"""What may be done with a set of rows whose sources are under several licences: one verdict for the whole dataset.

In: rows by licence, as the sources state them. Out: what the card says (a Hub id where one holds for every row),
whether the set may be shown to others, why, and whom to name. The decision: a licence is never invented. Where no
single one is true of every row the card says "other" and lists them, and where one row's terms are not known or forbid
changed copies, the set stays private. Not legal advice; the terms of the models that wrote fields are another matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upcycle.errors import ConfigError
from upcycle.sources.licences import LicenceClass, Trait, hub_id, licence_class, traits_of

NOT_STATED = "not stated"
"""How rows of a source without a licence are counted."""
NOT_ADVICE = "Licences are as the sources state them; this is not legal advice."

_UNSTATED = {"", "unknown", "other", "none", "not-stated", "noassertion"}


@dataclass(frozen=True, slots=True)
class LicenceVerdict:
    """What holds for a dataset as a whole.

    Attributes:
        hub: the card's `license`: one Hub id, several where every row is under one of these permissive ones, or
            `("other",)`; empty where no row has a source.
        name: the card's `license_name` beside "other".
        may_publish: False where somebody's terms forbid it or are not known; such a set may be pushed privately.
        reason: why, in one sentence.
        rows: licence as stated to number of rows.
        attribute: licences that ask for their authors to be named or their text to be kept.
    """

    hub: tuple[str, ...]
    name: str | None
    may_publish: bool
    reason: str
    rows: Mapping[str, int]
    attribute: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return asdict(self)


def judge_licences(rows: Mapping[str, int]) -> LicenceVerdict:
    """The verdict of a set of rows.

    Args:
        rows: licence (as stated; several joined by " and ", "" or `NOT_STATED` where there is none) to rows under it.
            Rows that have no source are not in it.
    """
    known, restricted = Counter[str](), Counter[str]()
    for stated, count in rows.items():
        for licence in _parts(stated):
            closed = licence_class(licence) in (LicenceClass.UNKNOWN, LicenceClass.NO_DERIVATIVES)
            (restricted if closed else known)[licence] += count
    ordered = dict(sorted({**known, **restricted}.items(), key=lambda pair: (-pair[1], pair[0])))
    if not ordered:
        return LicenceVerdict((), None, True, "No row comes from a source with a licence of its own.", {})
    attribute = tuple(licence for licence in ordered if licence in known and _asks_for_names(licence))
    if restricted:
        return _private(ordered, restricted, attribute)
    hub, name, reason = _open(known)
    return LicenceVerdict(hub, name, True, reason, ordered, attribute)


def _parts(stated: str) -> list[str]:
    parts = [part.strip() for part in re.split(r"\s+and\s+|[,;&]", stated, flags=re.IGNORECASE)]
    return [NOT_STATED if re.sub(r"\s+", "-", part.lower()) in _UNSTATED else part for part in parts]


def _private(ordered: dict[str, int], restricted: Counter[str], attribute: tuple[str, ...]) -> LicenceVerdict:
    which, count = restricted.most_common(1)[0]
    rows = f"{count:,} row{'' if count == 1 else 's'}"
    if licence_class(which) is LicenceClass.NO_DERIVATIVES:
        why = f"{which} forbids changed copies ({rows}): keep this dataset private."
    elif which == NOT_STATED:
        why = f"The sources of {rows} state no licence: keep this dataset private."
    else:
        why = f"The terms of {which!r} ({rows}) are not known: keep this dataset private."
    hub = hub_id(which) if len(ordered) == 1 else "other"
    return LicenceVerdict((hub,), _name_of(ordered) if hub == "other" else None, False, why, ordered, attribute)


def _open(known: Mapping[str, int]) -> tuple[tuple[str, ...], str | None, str]:
    """What to call a set that may be published: (Hub ids, licence_name, why)."""
    ids = {licence: hub_id(licence) for licence in known}
    same = {_normal(licence) for licence in known}
    shared = {licence for licence in same if _shares_alike(licence)}
    closed = {licence for licence in same if licence_class(licence) is LicenceClass.NON_COMMERCIAL}
    listed = ", ".join(sorted(same))
    if len(same) == 1:
        return _named(known, ids, f"Every row is under {listed}.")
    if len(shared) > 1 or (shared and closed and not shared & closed):
        trade = " and none may be used commercially together" if closed else ""
        return ("other",), _name_of(known), f"{listed} cannot be joined under one: each row keeps its own{trade}."
    if shared or len(closed) == 1:
        wins = next(iter(shared or closed))
        asks = "asks for the same licence on what is made of it" if shared else "forbids commercial use"
        return _named({wins: 1}, {wins: hub_id(wins)}, f"{wins} {asks}, and the others ({_but(same, wins)}) allow it.")
    if closed:
        return ("other",), _name_of(known), f"No commercial use: rows are under {listed}, and each keeps its own."
    if "other" in ids.values():
        return ("other",), _name_of(known), f"Permissive throughout, each row under its own: {listed}."
    return tuple(sorted(set(ids.values()))), None, f"Permissive throughout, each row under its own: {listed}."


def _named(known: Mapping[str, int], ids: Mapping[str, str], why: str) -> tuple[tuple[str, ...], str | None, str]:
    hub = next(iter(ids.values()))
    return (hub,), (_name_of(known) if hub == "other" else None), why


def _but(licences: set[str], one: str) -> str:
    return ", ".join(sorted(licences - {one}))


def _normal(licence: str) -> str:
    found = hub_id(licence)
    return licence.strip().lower() if found == "other" else found


def _shares_alike(licence: str) -> bool:
    return licence_class(licence) is LicenceClass.SHARE_ALIKE or "sa" in re.split(r"[^a-z]+", licence.lower())


def _asks_for_names(licence: str) -> bool:
    return Trait.ATTRIBUTION in traits_of(licence)


def _name_of(licences: Mapping[str, int]) -> str:
    """The card's `license_name`: lower case, dashes, no spaces."""
    names = sorted({re.sub(r"[^a-z0-9.+]+", "-", _normal(licence)).strip("-") for licence in licences})
    return "-and-".join(names)[:96]


def licences_of(path: Path) -> dict[str, int]:
    """Rows by licence of a dataset in our layout, read from its provenance; rows without a source are not counted.

    Raises:
        ConfigError: the provenance cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    for file in sorted((path / "provenance").glob("*.parquet")):
        try:
            table = pq.read_table(file, columns=["source", "licences"])
        except (pa.ArrowInvalid, OSError, KeyError) as error:
            raise ConfigError(f"{file} cannot be read ({error}); build the run again") from None
        table = table.filter(table["source"].is_valid())
        joined = pc.call_function("binary_join", [table["licences"], pa.scalar(" and ")])
        for found in joined.value_counts().to_pylist():
            counts[found["values"] or NOT_STATED] += found["counts"]
    return dict(counts)
