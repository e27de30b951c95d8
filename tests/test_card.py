"""The card, the verdict on licences, Croissant: what they claim is true of the rows, and their readers take them."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from upcycle.config import BuildConfig
from upcycle.curation.decontamination.tiers import LOOKED
from upcycle.errors import RowKind
from upcycle.records import Dropped, Example, Origin
from upcycle.report.card import TASK_CATEGORIES, size_category, write_card
from upcycle.report.croissant import CONFORMS_TO, write_croissant
from upcycle.report.dataset import STAGE, write
from upcycle.report.licence import judge_licences, licences_of
from upcycle.report.summary import drop_reasons, summarise
from upcycle.run import Run
from upcycle.sources.licences import HUB_LICENCES, hub_id
from upcycle.task import Gold, make_task

PLAN = """\
source: zoo
prose: The question is asked as it is.
steps:
- {do: llm, into: hint, fields: [question], ask: Say which is | larger.}
input: "{question}"
output: "{answer}"
"""


def make_run(
    path: Path,
    licences: dict[str, int],
    *,
    split: dict[str, float] | None = None,
    dropped: int = 0,
    looked: str = "gold is looked for by the same words",
    **task: Any,
) -> str:
    """A run of so many rows under each licence, one source each; returns the text of its card."""
    made = make_task("Say which animal is larger.", name="zoo animals", language="en", **task)
    number = 0
    with Run(path) as run:
        for source, (licence, rows) in enumerate(licences.items()):
            for _ in range(rows):
                named = tuple(part for part in licence.split(" + ") if part)
                origin = Origin("datatune", source=f"zoo{source or ''}", revision="r", plan="p", licences=named)
                example = Example(f"{number:016x}", f"ant or elephant {number}?", f"elephant {number}", origin)
                run.journal.row(STAGE, example.id, state="kept", kind=RowKind.OK, value=example)
                number += 1
        for n in range(dropped):
            reason = f"has the same words as gold item {n}" if n % 2 else f"{n} is not in the label set"
            kind = RowKind.CONTAMINATED if n % 2 else RowKind.CONTRACT
            drop = Dropped(f"d{n}", Origin("datatune", source="zoo"), "curation", kind, reason)
            run.journal.row(STAGE, drop.id, state="dropped", kind=kind, value=drop)
        run.journal.set_meta(LOOKED, looked)
        run.journal.commit()
        (path / "plans").mkdir()
        (path / "plans" / "zoo.yaml").write_text(PLAN)
        config = BuildConfig(rows=max(1, number))
        written = write(run, split=split or {"train": 1.0}, seed=0)
        report = summarise(made, config, run, written, None)
        write_croissant(made, run, report)
        write_card(made, config, run, report)
    return (path / "README.md").read_text(encoding="utf-8")


def front_matter(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


# the verdict


@pytest.mark.parametrize(
    ("rows", "hub", "may_publish"),
    [
        ({"mit": 5}, ("mit",), True),
        ({"MIT": 5, "mit": 1}, ("mit",), True),
        ({"CC BY 4.0": 5}, ("cc-by-4.0",), True),
        ({"mit": 5, "apache-2.0": 5}, ("apache-2.0", "mit"), True),
        ({"psf-2.0": 5}, ("other",), True),
        ({"psf-2.0": 5, "mit": 1}, ("other",), True),
        ({"mit": 5, "cc-by-nc-4.0": 1}, ("cc-by-nc-4.0",), True),
        ({"mit": 5, "cc-by-sa-4.0": 1}, ("cc-by-sa-4.0",), True),
        ({"cc-by-nc-4.0": 5, "cc-by-nc-sa-4.0": 1}, ("cc-by-nc-sa-4.0",), True),
        ({"cc-by-sa-3.0": 5, "cc-by-sa-4.0": 5}, ("other",), True),
        ({"cc-by-sa-4.0": 5, "gpl-3.0": 5}, ("other",), True),
        ({"cc-by-sa-4.0": 5, "cc-by-nc-4.0": 5}, ("other",), True),
        ({"cc-by-nc-3.0": 5, "cc-by-nc-4.0": 5}, ("other",), True),
        ({"cc-by-nd-4.0": 5}, ("cc-by-nd-4.0",), False),
        ({"mit": 5, "cc-by-nc-nd-4.0": 1}, ("other",), False),
        ({"mit": 5, "": 1}, ("other",), False),
        ({"mit": 5, "unknown": 1}, ("other",), False),
        ({"other": 5}, ("other",), False),
        ({"mit": 5, "our own terms": 1}, ("other",), False),
        ({"mit and cc-by-nd-4.0": 5}, ("other",), False),
        ({"mit and bsd-3-clause": 5}, ("bsd-3-clause", "mit"), True),
        ({}, (), True),
    ],
)
def test_one_licence_is_named_only_where_it_is_true_of_every_row(
    rows: dict[str, int], hub: tuple[str, ...], may_publish: bool
):
    verdict = judge_licences(rows)
    assert (verdict.hub, verdict.may_publish) == (hub, may_publish)
    assert set(verdict.hub) <= HUB_LICENCES
    assert (verdict.name is not None) == (hub == ("other",))
    assert "\n" not in verdict.reason


def test_a_verdict_lists_every_licence_with_its_rows_and_whom_to_name():
    verdict = judge_licences({"mit and cc-by-4.0": 2, "cc0-1.0": 9, "mit": 1})
    assert verdict.rows == {"cc0-1.0": 9, "mit": 3, "cc-by-4.0": 2}
    assert verdict.attribute == ("mit", "cc-by-4.0")


def test_licences_are_written_as_the_hub_writes_them():
    names = ["Apache 2.0", "apache-2", "CC BY-SA 4.0", "cc0", "ODbL-1.0", "MIT License", "Creative Commons BY 4.0", "?"]
    known = ["other", "apache-2.0", "cc-by-sa-4.0", "cc0-1.0", "odbl", "mit", "cc-by-4.0", "other"]
    assert [hub_id(name) for name in names[1:]] == known[1:]
    assert hub_id("unknown") == "other"


def test_the_provenance_and_the_report_count_the_same_licences(tmp_path: Path):
    make_run(tmp_path / "x", {"mit": 3, "cc-by-4.0 + mit": 2, "": 1})
    assert licences_of(tmp_path / "x") == {"mit": 3, "cc-by-4.0 and mit": 2, "not stated": 1}


# the card


def test_the_front_matter_says_what_the_hub_asks(tmp_path: Path):
    meta = front_matter(make_run(tmp_path / "x", {"cc-by-4.0": 8, "mit": 2}, split={"train": 8, "test": 2}))
    assert meta["license"] == ["cc-by-4.0", "mit"]
    assert meta["language"] == ["en"]
    assert meta["size_categories"] == ["n<1K"]
    assert meta["task_categories"] == ["text-generation"]
    assert meta["source_datasets"] == ["zoo", "zoo1"]
    assert {"synthetic", "upcycle"} <= set(meta["tags"])
    default = meta["configs"][0]
    assert [files["split"] for files in default["data_files"]] == ["train", "test"]
    for files in default["data_files"]:
        assert list((tmp_path / "x").glob(files["path"]))


def test_a_licence_without_an_id_is_named_beside_other(tmp_path: Path):
    meta = front_matter(make_run(tmp_path / "x", {"psf-2.0": 3}))
    assert (meta["license"], meta["license_name"]) == ("other", "psf-2.0")


@pytest.mark.parametrize(("kind", "category"), TASK_CATEGORIES.items())
def test_every_kind_of_output_has_a_category(tmp_path: Path, kind: str, category: str):
    assert front_matter(make_run(tmp_path / "x", {"mit": 1}, contract={"kind": kind}))["task_categories"] == [category]


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (3_000_000, "1M<n<10M"), (2 * 10**12, "n>1T")],
)
def test_sizes_are_the_hubs(rows: int, name: str):
    assert size_category(rows) == name


def test_the_body_says_how_rows_were_made_and_why_others_were_not_kept(tmp_path: Path):
    gold = (Gold(input="cat or cow?", output="cow"),)
    card = make_run(tmp_path / "x", {"cc-by-4.0": 8, "": 2}, dropped=10, gold=gold)
    assert "**10 examples** (train 10)" in card
    assert "- **zoo**: The question is asked as it is." in card
    assert "| zoo | hint | Say which is \\| larger. |" in card
    assert "| contaminated | has the same words as gold item … | 5 |" in card
    assert "| contract | … is not in the label set | 5 |" in card
    assert "5 rows were dropped because they repeat one of 1 evaluation items" in card
    assert "The sources of 2 rows state no licence: keep this dataset private." in card
    assert "| not stated | none | unknown | 2 | zoo1 |" in card
    assert "not legal advice" in card
    assert "No model was asked" in card


def test_the_card_says_how_gold_was_looked_for_when_the_rows_were_made(tmp_path: Path):
    gold = (Gold(input="cat or cow?", output="cow"),)
    ran = "gold is looked for by the same words, verbatim spans; not by paraphrases, because no encoder is installed"
    card = make_run(tmp_path / "x", {"mit": 3}, dropped=4, gold=gold, looked=ran)
    assert f"2 rows were dropped because they repeat one of 1 evaluation items: {ran}." in card
    off = make_run(tmp_path / "off", {"mit": 3}, gold=gold, looked="")
    assert "1 evaluation items were given, but looking for them was switched off." in off


def test_without_gold_the_card_does_not_claim_to_be_clean(tmp_path: Path):
    assert "No evaluation items were given, so none were looked for." in make_run(tmp_path / "x", {"mit": 1})


def test_reasons_that_differ_in_a_number_are_one(tmp_path: Path):
    make_run(tmp_path / "x", {"mit": 1}, dropped=9)
    assert [(kind, count) for kind, _, count in drop_reasons(tmp_path / "x")] == [("contract", 5), ("contaminated", 4)]


def test_a_build_that_falls_short_says_why_most_rows_were_dropped(tmp_path: Path):
    make_run(tmp_path / "x", {"mit": 1}, dropped=9)
    with Run(tmp_path / "x") as run:
        short, whole = (
            summarise(make_task("Say it."), config, run, write(run, split=config.split, seed=0), None)
            for config in (BuildConfig(rows=2), BuildConfig(rows=1))
        )
    (most, count), (_, fewer) = short.reasons
    assert (count, fewer) == (5, 4)
    assert f"\n           5 x {most}\n" in str(short)
    assert whole.reasons == ()


def test_a_plan_that_is_being_edited_costs_no_card(tmp_path: Path):
    make_run(tmp_path / "x", {"mit": 2})
    (tmp_path / "x" / "plans" / "broken.yaml").write_text("steps: [")
    with Run(tmp_path / "x") as run:
        task, config = make_task("Say it."), BuildConfig(rows=2)
        report = summarise(task, config, run, write(run, split=config.split, seed=0), None)
        write_card(task, config, run, report)
    assert (tmp_path / "x" / "README.md").read_text().startswith("---\npretty_name: say_it\n")


def test_a_run_that_kept_nothing_still_has_a_card_and_a_croissant(tmp_path: Path):
    meta = front_matter(make_run(tmp_path / "x", {}))
    assert "license" not in meta
    assert json.loads((tmp_path / "x" / "croissant.json").read_bytes())["recordSet"] == []


def test_the_hubs_own_reader_takes_the_card_and_gives_it_back(tmp_path: Path):
    hub = pytest.importorskip("huggingface_hub")
    card = make_run(tmp_path / "x", {"cc-by-4.0": 8, "mit": 2})
    loaded = hub.DatasetCard.load(tmp_path / "x" / "README.md")
    assert loaded.data.to_dict() == front_matter(card)
    loaded.save(tmp_path / "again.md")
    again = hub.DatasetCard.load(tmp_path / "again.md")
    assert again.data.to_dict() == loaded.data.to_dict()
    assert again.text.strip() == loaded.text.strip()


def test_the_folder_loads_as_it_is_with_every_configuration(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    make_run(tmp_path / "x", {"mit": 10}, split={"train": 8, "test": 2}, dropped=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for config, rows in (("default", 8), ("provenance", 8), ("dropped", 3)):
            loaded = datasets.load_dataset(str(tmp_path / "x"), config, cache_dir=str(tmp_path / "cache"))
            assert len(loaded["train"]) == rows


# Croissant


def croissant(path: Path) -> dict[str, Any]:
    return json.loads((path / "croissant.json").read_bytes())


def test_croissant_names_every_file_with_its_digest(tmp_path: Path):
    make_run(tmp_path / "x", {"mit": 10}, split={"train": 8, "test": 2}, dropped=3)
    files = {one["contentUrl"]: one for one in croissant(tmp_path / "x")["distribution"]}
    assert set(files) == {path.relative_to(tmp_path / "x").as_posix() for path in (tmp_path / "x").rglob("*.parquet")}
    for name, file in files.items():
        content = (tmp_path / "x" / name).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["contentSize"] == f"{len(content)} B"


def test_croissant_describes_every_column_of_every_split(tmp_path: Path):
    make_run(tmp_path / "x", {"mit": 10}, split={"train": 8, "test": 2}, dropped=3)
    document = croissant(tmp_path / "x")
    records = {one["@id"]: one for one in document["recordSet"]}
    assert set(records) == {"default/train", "default/test", "provenance/train", "provenance/test", "dropped/train"}
    ids = {one["@id"] for one in document["distribution"]}
    for name, one in records.items():
        sources = {field["source"]["fileObject"]["@id"] for field in one["field"]}
        (source,) = sources
        assert source in ids
        columns = pq.read_schema(tmp_path / "x" / source)
        assert [field["source"]["extract"]["column"] for field in one["field"]] == columns.names
        assert [field["@id"] for field in one["field"]] == [f"{name}/{column}" for column in columns.names]
        assert [field.get("isArray", False) for field in one["field"]] == [
            str(column.type).startswith("list") for column in columns
        ]


def test_croissant_says_what_the_rows_were_made_of_and_how(tmp_path: Path):
    make_run(tmp_path / "x", {"cc-by-4.0": 8, "my own": 2}, dropped=4)
    document = croissant(tmp_path / "x")
    assert document["conformsTo"] == list(CONFORMS_TO)
    assert document["license"] == ["https://creativecommons.org/licenses/by/4.0/", "my own"]
    first, second = document["prov:wasDerivedFrom"]
    assert (first["prov:label"], first["sc:license"]) == ("zoo", ["https://creativecommons.org/licenses/by/4.0/"])
    assert second["sc:license"] == ["my own"]
    said = {key for key in document if key.startswith("rai:")}
    assert {"rai:dataCollection", "rai:dataLimitations", "rai:dataPreprocessingProtocol", "rai:dataUseCases"} <= said
    assert "contaminated 2, contract 2" in document["rai:dataPreprocessingProtocol"][1]
    terms = document["@context"]
    prefixes = {key.split(":")[0] for key in said} | {"prov", "cr", "sc", "dct"}
    assert prefixes <= set(terms)


def test_mlcroissant_takes_the_document_and_reads_the_rows(tmp_path: Path):
    mlcroissant = pytest.importorskip("mlcroissant")
    make_run(tmp_path / "x", {"mit": 10}, split={"train": 8, "test": 2}, dropped=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlcroissant.Dataset(str(tmp_path / "x" / "croissant.json"))
        assert dataset.metadata.ctx.issues.report() == ""
        assert {rows.uuid: sum(1 for _ in dataset.records(rows.uuid)) for rows in dataset.metadata.record_sets} == {
            "default/train": 8, "default/test": 2, "provenance/train": 8, "provenance/test": 2, "dropped/train": 3,
        }  # fmt: skip
