"""A README taken apart, and licences as people write them."""

from __future__ import annotations

import pytest

from upcycle.errors import ConfigError, SourceError
from upcycle.sources.card import described_columns, read_front_matter
from upcycle.sources.licences import LicenceClass, licence_class, most_restrictive, permits


def test_a_readme_without_front_matter_is_all_text() -> None:
    found = read_front_matter("# Name\n\nText with --- inside.\n---\n")
    assert (found.name, found.licence, found.data_files) == ("Name", None, {})
    assert found.text.startswith("# Name")


def test_front_matter_that_never_ends_is_text() -> None:
    assert read_front_matter("---\nlicense: mit\n").licence is None


def test_the_language_code_no_and_numbers_for_names_stay_text() -> None:
    text = "---\nlanguage: no\ntags: [1e3, on]\npretty_name: 2024\n---\n"
    found = read_front_matter(text)
    assert (found.languages, found.tags, found.name) == (("no",), ("1e3", "on"), "2024")


def test_front_matter_that_builds_objects_is_not_run() -> None:
    text = "---\nlicense: !!python/object/apply:os.getcwd []\n---\n"
    assert read_front_matter(text).licence is None


@pytest.mark.parametrize("header", ["license: [mit", "- just\n- a list", "just a word"])
def test_broken_front_matter_is_a_sentence(header: str) -> None:
    with pytest.raises(SourceError, match="front matter"):
        read_front_matter(f"---\n{header}\n---\n")


def test_class_names_are_found_inside_lists_and_structs() -> None:
    text = """---
dataset_info:
- config_name: a
  features:
  - name: tags
    sequence:
      class_label:
        names: {'0': O, '1': B}
  - name: answers
    list:
    - name: verdict
      dtype: {class_label: {names: [no, yes]}}
    - name: text
      dtype: string
  - name: meta
    struct:
    - name: kind
      dtype: {class_label: {names: [x]}}
  splits:
  - {name: train, num_examples: 12}
---
"""
    found = read_front_matter(text)
    assert found.labels == {"a": {"tags": ("O", "B"), "answers.verdict": ("no", "yes"), "meta.kind": ("x",)}}
    assert found.rows == {("a", "train"): 12}


def test_columns_are_described_by_lists_and_by_tables() -> None:
    body = """
## Dataset structure
- `not`: a column
### Data Fields
- `label`: 0 negative, 1 positive
* **text** (string): the review
- id - a number
| name | type | meaning |
|---|---|---|
| `score` | int | from 1 to 5 |
## Other
- `later`: not a column
"""
    found = described_columns(body)
    assert found["label"] == "0 negative, 1 positive"
    assert (found["text"], found["id"]) == ("the review", "a number")
    assert found["score"].split() == ["int", "from", "1", "to", "5"]
    assert not {"not", "later"} & set(found)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("mit", LicenceClass.PERMISSIVE),
        ("Apache-2.0", LicenceClass.PERMISSIVE),
        ("CC BY 4.0", LicenceClass.PERMISSIVE),
        ("cc0-1.0", LicenceClass.PERMISSIVE),
        ("bsd-2-clause", LicenceClass.PERMISSIVE),
        ("PSF-2.0", LicenceClass.PERMISSIVE),
        ("cc-by-sa-3.0", LicenceClass.SHARE_ALIKE),
        ("gpl-3.0", LicenceClass.SHARE_ALIKE),
        ("cc-by-nc-sa-4.0", LicenceClass.NON_COMMERCIAL),
        ("cc-by-nc-nd-4.0", LicenceClass.NO_DERIVATIVES),
        ("other", LicenceClass.UNKNOWN),
        ("unknown", LicenceClass.UNKNOWN),
        ("cc", LicenceClass.UNKNOWN),
        (None, LicenceClass.UNKNOWN),
        ("mit and cc-by-nc-4.0", LicenceClass.NON_COMMERCIAL),
        ("mit-like, ask first", LicenceClass.UNKNOWN),
    ],
)
def test_a_licence_is_classed_as_stated_and_the_unknown_is_restricted(
    licence: str | None, expected: LicenceClass
) -> None:
    assert licence_class(licence) is expected
    assert permits(licence, "any")
    assert permits(licence, "permissive") is (expected is LicenceClass.PERMISSIVE)


def test_the_most_restrictive_licence_wins_in_a_mix() -> None:
    assert most_restrictive(["mit", "cc-by-sa-4.0", "cc-by-4.0"]) is LicenceClass.SHARE_ALIKE
    assert most_restrictive(["mit", None]) is LicenceClass.UNKNOWN


def test_an_unknown_policy_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="use any or permissive"):
        permits("mit", "free")
