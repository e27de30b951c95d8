"""What a licence permits, in five classes: enough to filter sources and to say which licence wins in a mix.

In: the licence as a card states it (Hub ids are not SPDX ids, and people write "CC BY 4.0"). Out: a class. A licence
that is missing, "other" or not in the map is unknown, and unknown is treated as restricted. Not legal advice.
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


_ORDER = list(LicenceClass)

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
    parts = [part for part in re.split(r"\s+and\s+|[,;&]", licence, flags=re.IGNORECASE) if part.strip()]
    return max((_one(part) for part in parts), key=_ORDER.index, default=LicenceClass.UNKNOWN)


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


def _one(licence: str) -> LicenceClass:
    text = re.sub(r"[\s_]+", "-", licence.strip().lower()).replace("creative-commons-", "cc-").removesuffix("-license")
    words = set(text.split("-"))
    if "nd" in words:
        return LicenceClass.NO_DERIVATIVES
    if "nc" in words or "noncommercial" in text or "non-commercial" in text:
        return LicenceClass.NON_COMMERCIAL
    if _SHARE_ALIKE.fullmatch(text):
        return LicenceClass.SHARE_ALIKE
    return LicenceClass.PERMISSIVE if _PERMISSIVE.fullmatch(text) else LicenceClass.UNKNOWN
