"""What a licence permits, in five classes, and what it asks for: enough to filter sources and to judge a mix.

In: the licence as a card states it (Hub ids are not SPDX ids, and people write "CC BY 4.0"). Out: a class, traits, the
Hub's id, SPDX's. A licence that is missing, "other" or not in the map is unknown, and unknown is treated as restricted.
Not legal advice.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

from upcycle.errors import ConfigError

Policy = Literal["any", "permissive"]


class LicenceClass(StrEnum):
    """From the freest to the most restrictive; the order decides which one wins in a mix."""

    PERMISSIVE = "permissive"
    SHARE_ALIKE = "share-alike"
    NON_COMMERCIAL = "non-commercial"
    NO_DERIVATIVES = "no-derivatives"
    UNKNOWN = "unknown"


class Trait(StrEnum):
    """What a licence asks of who passes on what is under it, or why that is not known."""

    ATTRIBUTION = "attribution"
    SHARE_ALIKE = "share-alike"
    NON_COMMERCIAL = "non-commercial"
    NO_DERIVATIVES = "no-derivatives"
    GATED = "gated"
    CUSTOM = "custom"
    """Terms of somebody's own, to be read."""
    UNKNOWN = "unknown"


_ORDER = list(LicenceClass)

_SPDX_SAME = """
Apache-2.0 MIT AFL-3.0 Artistic-2.0 BSL-1.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear CC0-1.0 CC-BY-2.0 CC-BY-2.5
CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-ND-4.0 CC-BY-NC-ND-3.0
CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CDLA-Sharing-1.0 CDLA-Permissive-1.0
CDLA-Permissive-2.0 WTFPL ECL-2.0 EPL-1.0 EPL-2.0 etalab-2.0 EUPL-1.1 EUPL-1.2 ISC LPPL-1.3c MS-PL MPL-2.0 OSL-3.0
PostgreSQL OFL-1.1 NCSA Unlicense Zlib
"""
_SPDX_OTHER = {
    "agpl-3.0": "AGPL-3.0-only", "gpl-2.0": "GPL-2.0-only", "gpl-3.0": "GPL-3.0-only", "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-3.0": "LGPL-3.0-only", "odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0", "pddl": "PDDL-1.0", "c-uda": "C-UDA-1.0",
    "lgpl-lr": "LGPLLR",
}  # fmt: skip
_CUSTOM = """
openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m openrail++ h-research
intel-research apple-ascl apple-amlr openmdw-1.0 deepfloyd-if-license fair-noncommercial-research-license llama2 llama3
llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma
"""
_UNVERSIONED = "bsd cc gfdl gpl lgpl unknown other"
_SPDX = {one.lower(): one for one in _SPDX_SAME.split()} | _SPDX_OTHER

HUB_LICENCES = frozenset([*_SPDX, *_CUSTOM.split(), *_UNVERSIONED.split()])
"""Ids the Hub takes in a card's `license`; they are not SPDX ids."""

_ALIASES = {
    "apache": "apache-2.0",
    "apache-2": "apache-2.0",
    "apache2": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "apache2.0": "apache-2.0",
    "cc0": "cc0-1.0",
    "odc-by-1.0": "odc-by",
    "odbl-1.0": "odbl",
    "pddl-1.0": "pddl",
    "gfdl-1.3": "gfdl",
    "cdla-permissive": "cdla-permissive-2.0",
}
_FREE = {"cc0-1.0", "unlicense", "wtfpl", "pddl", "0bsd", "public-domain"}

_PERMISSIVE = re.compile(
    r"(mit|apache|apache-?2(\.0)?|apache-license-2\.0|bsd|bsd-[\w-]+|0bsd|isc|zlib|ncsa|unlicense|wtfpl|pddl(-1\.0)?|cc0(-1\.0)?"
    r"|cc-by(-\d\.\d)?|odc-by(-1\.0)?|psf(-2\.0)?|python-2\.0(\.\d)?|cdla-permissive-\d\.\d|afl-3\.0|ecl-2\.0|artistic(-2\.0)?"
    r"|bsl-1\.0|ms-pl|postgresql|public-domain|mulanpsl-2\.0|etalab-2\.0|openmdw-1\.0)"
)
_SHARE_ALIKE = re.compile(
    r"(cc-by-sa(-\d\.\d)?|[al]?gpl([-\w.+]*)|odbl(-1\.0)?|gfdl([-\d.]*)|cdla-sharing-1\.0|mpl-2\.0|epl-\d\.\d|eupl-\d\.\d|osl-3\.0|cc-sa(-\d\.\d)?)"
)


def licence_class(licence: str | None) -> LicenceClass:
    """Class of a stated licence; of several (joined by "and" or ","), the most restrictive one."""
    if not licence:
        return LicenceClass.UNKNOWN
    return max((_one(part) for part in _parts(licence)), key=_ORDER.index, default=LicenceClass.UNKNOWN)


def hub_id(licence: str) -> str:
    """The licence as the Hub writes it ("CC BY 4.0" is "cc-by-4.0"), or "other" where the Hub has no id for it."""
    whole = re.sub(r"[\s_]+", "-", licence.strip().lower())
    text = whole if whole in HUB_LICENCES else _normal(licence)
    text = _ALIASES.get(text, text)
    return text if text in HUB_LICENCES and text not in ("unknown", "other") else "other"


def spdx_id(licence: str | None) -> str | None:
    """The licence as SPDX writes it; None where SPDX has none, or the name does not say which version is meant.

    >>> spdx_id("cc-by-sa-4.0"), spdx_id("gpl-3.0"), spdx_id("llama3")
    ('CC-BY-SA-4.0', 'GPL-3.0-only', None)
    """
    return _SPDX.get(hub_id(licence)) if licence else None


def traits_of(licence: str | None, *, gated: bool = False) -> frozenset[Trait]:
    """What a licence asks for; of several (joined by "and" or ","), what any of them does.

    Args:
        gated: whether its data are given only to who was granted access.

    >>> sorted(traits_of("cc-by-nc-sa-4.0"))
    ['attribution', 'non-commercial', 'share-alike']
    """
    asked = [_traits(part) for part in _parts(licence or "")] or [{Trait.UNKNOWN}]
    return frozenset().union(*asked, {Trait.GATED} if gated else set())


def _traits(licence: str) -> set[Trait]:
    text, kind = _normal(licence), _one(licence)
    words = set(text.split("-"))
    if hub_id(licence) in _CUSTOM.split() and kind is not LicenceClass.PERMISSIVE:
        return {Trait.CUSTOM, *({Trait.NON_COMMERCIAL} if kind is LicenceClass.NON_COMMERCIAL else ())}
    if kind is LicenceClass.UNKNOWN:
        return {Trait.UNKNOWN}
    found = set() if text in _FREE or hub_id(licence) in _FREE else {Trait.ATTRIBUTION}
    if kind is LicenceClass.SHARE_ALIKE or "sa" in words:
        found.add(Trait.SHARE_ALIKE)
    if "nc" in words or kind is LicenceClass.NON_COMMERCIAL:
        found.add(Trait.NON_COMMERCIAL)
    if "nd" in words:
        found.add(Trait.NO_DERIVATIVES)
    return found


def most_restrictive(licences: list[str | None]) -> LicenceClass:
    """What holds for a mix of rows under these licences."""
    return max((licence_class(licence) for licence in licences), key=_ORDER.index, default=LicenceClass.UNKNOWN)


def permits(licence: str | None, policy: str) -> bool:
    """Whether a source under `licence` may be used when the user asked for `policy` ("any" or "permissive")."""
    if policy == "any":
        return True
    if policy == "permissive":
        return licence_class(licence) is LicenceClass.PERMISSIVE
    raise ConfigError(f"{policy!r} is not a licence policy; use any or permissive")


def _parts(licence: str) -> list[str]:
    return [part for part in re.split(r"\s+and\s+|[,;&]", licence, flags=re.IGNORECASE) if part.strip()]


def _normal(licence: str) -> str:
    text = re.sub(r"[\s_]+", "-", licence.strip().lower())
    return text.replace("creative-commons-", "cc-").removesuffix("-license")


def _one(licence: str) -> LicenceClass:
    text = _normal(licence)
    words = set(text.split("-"))
    if "nd" in words:
        return LicenceClass.NO_DERIVATIVES
    if "nc" in words or "noncommercial" in text or "non-commercial" in text:
        return LicenceClass.NON_COMMERCIAL
    if _SHARE_ALIKE.fullmatch(text):
        return LicenceClass.SHARE_ALIKE
    return LicenceClass.PERMISSIVE if _PERMISSIVE.fullmatch(text) else LicenceClass.UNKNOWN
