"""What licences are called, what they ask for, and what that means for who may use a source."""

from __future__ import annotations

import pytest

from upcycle.errors import ConfigError
from upcycle.sources.licences import (
    HUB_LICENCES,
    LicenceClass,
    Trait,
    hub_id,
    licence_class,
    permits,
    spdx_id,
    traits_of,
)

A, SA, NC, ND = Trait.ATTRIBUTION, Trait.SHARE_ALIKE, Trait.NON_COMMERCIAL, Trait.NO_DERIVATIVES
KNOWN = [
    ("mit", "MIT", {A}, LicenceClass.PERMISSIVE),
    ("Apache License 2.0", "Apache-2.0", {A}, LicenceClass.PERMISSIVE),
    ("apache-2.0", "Apache-2.0", {A}, LicenceClass.PERMISSIVE),
    ("CC BY 4.0", "CC-BY-4.0", {A}, LicenceClass.PERMISSIVE),
    ("cc0-1.0", "CC0-1.0", set(), LicenceClass.PERMISSIVE),
    ("pddl", "PDDL-1.0", set(), LicenceClass.PERMISSIVE),
    ("odc-by", "ODC-By-1.0", {A}, LicenceClass.PERMISSIVE),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0", {A, SA}, LicenceClass.SHARE_ALIKE),
    ("odbl", "ODbL-1.0", {A, SA}, LicenceClass.SHARE_ALIKE),
    ("gpl-3.0", "GPL-3.0-only", {A, SA}, LicenceClass.SHARE_ALIKE),
    ("cc-by-nc-4.0", "CC-BY-NC-4.0", {A, NC}, LicenceClass.NON_COMMERCIAL),
    ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0", {A, NC, SA}, LicenceClass.NON_COMMERCIAL),
    ("cc-by-nd-4.0", "CC-BY-ND-4.0", {A, ND}, LicenceClass.NO_DERIVATIVES),
    ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0", {A, NC, ND}, LicenceClass.NO_DERIVATIVES),
    ("llama3.1", None, {Trait.CUSTOM}, LicenceClass.UNKNOWN),
    ("deepfloyd-if-license", None, {Trait.CUSTOM}, LicenceClass.UNKNOWN),
    ("openrail", None, {Trait.CUSTOM}, LicenceClass.UNKNOWN),
    ("other", None, {Trait.UNKNOWN}, LicenceClass.UNKNOWN),
    ("unknown", None, {Trait.UNKNOWN}, LicenceClass.UNKNOWN),
    ("see the paper", None, {Trait.UNKNOWN}, LicenceClass.UNKNOWN),
]


@pytest.mark.parametrize(("stated", "spdx", "traits", "kind"), KNOWN, ids=[one[0] for one in KNOWN])
def test_a_licence_has_its_spdx_id_and_what_it_asks_for(stated: str, spdx: str, traits: set, kind: LicenceClass):
    assert (spdx_id(stated), set(traits_of(stated)), licence_class(stated)) == (spdx, traits, kind)


def test_what_is_missing_is_not_known_and_so_restricted():
    assert traits_of(None) == {Trait.UNKNOWN}
    assert spdx_id(None) is None
    assert not permits(None, "permissive")
    assert permits(None, "any")


def test_several_licences_ask_for_what_any_of_them_does():
    assert traits_of("mit and cc-by-nc-4.0, odbl") == {A, NC, SA}
    assert not permits("mit and cc-by-nc-4.0", "permissive")


def test_a_gated_dataset_is_that_beside_its_licence():
    assert traits_of("mit", gated=True) == {A, Trait.GATED}


def test_every_id_of_the_hub_is_itself_and_has_traits_that_fit_its_class():
    for licence in HUB_LICENCES - {"unknown", "other"}:
        assert hub_id(licence) == licence
        kind, traits = licence_class(licence), traits_of(licence)
        if kind is LicenceClass.UNKNOWN:
            assert traits <= {Trait.CUSTOM, Trait.UNKNOWN}, licence
        elif kind is LicenceClass.NON_COMMERCIAL:
            assert NC in traits, licence
        else:
            assert not traits & {Trait.CUSTOM, Trait.UNKNOWN}, licence
        assert (kind is LicenceClass.NO_DERIVATIVES) == (ND in traits), licence
        assert kind is not LicenceClass.PERMISSIVE or traits <= {A}, licence


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="use any or permissive"):
        permits("mit", "free")
