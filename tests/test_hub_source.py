"""A dataset of a Hub as a source: what is read of it, at which commit, and why it cannot be used."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.errors import ConfigError, SourceError
from upcycle.sources.hub.source import HubSource, open_hub, read_name
from upcycle.sources.hub.wire import Hub, HubError
from upcycle.sources.source import open_sources
from upcycle.testing import FakeHub

pytest.importorskip("huggingface_hub")

CARD = """---
license: cc-by-4.0
language: [en]
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names: {'0': 'no', '1': 'yes'}
---
# Questions
Questions of yes and no.
"""
NAME = "owner/questions"


def parquet(rows: list[dict[str, Any]], group: int = 500) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=group, compression="none", use_dictionary=False)
    return out.getvalue()


def questions(count: int, first: int = 0, text: str = "x" * 400) -> list[dict[str, Any]]:
    return [{"question": f"Is {n} even? {text}", "label": n % 2} for n in range(first, first + count)]


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        files = {f"data/train-{n:05}-of-00003.parquet": parquet(questions(1500, 1500 * n)) for n in range(3)}
        running.repo(NAME).write({"README.md": CARD, **files})
        yield running


def opened(hub: FakeHub, name: str = NAME) -> HubSource:
    return open_hub(f"hub:{name}", Hub(hub.url, pause=lambda _: None))


def bytes_read(hub: FakeHub) -> int:
    """Bytes that ranges of files asked for; nobody asked for a whole file."""
    ranges = [asked.split(" ") for operation, asked in hub.asked if operation == "resolve"]
    assert all(len(one) == 2 for one in ranges)
    spans = [one[1].removeprefix("bytes=").split("-") for one in ranges]
    return sum(int(end) - int(start) + 1 for start, end in spans)


def test_its_card_says_what_the_hub_does_and_its_revision_is_the_commit(hub: FakeHub):
    card = opened(hub).card
    assert (card.id, card.licence, card.languages, card.rows) == (NAME, "cc-by-4.0", ("en",), 4_500)
    assert card.revision == hub.repos[NAME].sha
    assert [(one.name, one.dtype, one.labels) for one in card.columns] == [
        ("question", "string", None), ("label", "label", ("no", "yes")),
    ]  # fmt: skip


def test_drawing_a_few_records_reads_a_small_part_of_the_files(hub: FakeHub):
    whole = parquet(questions(10_000, text="x" * 2000))
    hub.repo("owner/large").write({"train.parquet": whole})
    some = list(islice(opened(hub, "owner/large").drawn(0), 20))
    assert len({record.ref for record in some}) == 20
    assert bytes_read(hub) < len(whole) / 5


def test_what_is_drawn_is_every_record_once_and_the_same_as_in_order(hub: FakeHub):
    source = opened(hub)
    ordered = {record.ref: record for record in source.records()}
    drawn = list(source.drawn(7))
    assert len(drawn) == len(ordered) == 4_500
    assert all(ordered[record.ref].fields == record.fields for record in drawn)
    assert [record.ref for record in drawn] != list(ordered)
    assert [record.ref for record in opened(hub).drawn(7)] == [record.ref for record in drawn]
    assert {record.revision for record in drawn} == {hub.repos[NAME].sha}
    assert ordered["default/train/1501"].fields["question"].startswith("Is 1501 even?")
    assert ordered["default/train/1501"].fields["label"] == "yes"


def test_a_pinned_commit_is_read_as_it_was(hub: FakeHub):
    before = opened(hub)
    name = before.name
    hub.repos[NAME].write({"data/train-00000-of-00003.parquet": parquet([{"question": "new", "label": 0}])})
    assert open_hub(name, Hub(hub.url)).card.rows == 4_500
    assert next(iter(open_hub(name, Hub(hub.url)).records())).fields["question"].startswith("Is 0 even?")
    assert opened(hub).card.rows == 3_001


def test_text_files_gzip_and_configurations_are_read_as_in_a_folder(hub: FakeHub):
    lines = b"".join(b'{"a": %d}\n' % n for n in range(10))
    hub.repo("owner/mixed").write(
        {
            "README.md": "---\nconfigs:\n- config_name: one\n  data_files: one/*.jsonl.gz\n"
            "- config_name: two\n  data_files:\n  - {split: test, path: two.csv}\n---\n",
            "one/a.jsonl.gz": gzip.compress(lines),
            "two.csv": "x,y\n1,2\n3,4\n",
        }
    )
    source = opened(hub, "owner/mixed")
    assert [(one.name, [split.name for split in one.splits]) for one in source.card.configs] == [
        ("one", ["train"]), ("two", ["test"]),
    ]  # fmt: skip
    assert [record.fields["a"] for record in source.records(config="one")] == list(range(10))
    assert [record.fields for record in source.records(config="two", split="test")] == [
        {"x": 1, "y": 2}, {"x": 3, "y": 4},
    ]  # fmt: skip
    assert [one.name for one in opened(hub, "owner/mixed:two").card.configs] == ["two"]


def test_of_many_configurations_the_first_are_read_and_it_says_so(hub: FakeHub):
    hub.repo("owner/many").write({f"c{n:02}.jsonl": f'{{"a": {n}}}\n' for n in range(12)})
    source = opened(hub, "owner/many")
    assert len(source.card.configs) == 8
    assert source.notes == (
        "owner/many: 8 of its 12 configurations are read; name another as hub:owner/many:CONFIGURATION",
    )
    assert [record.fields for record in opened(hub, "owner/many:c11").records()] == [{"a": 11}]


def test_a_dataset_with_a_script_alone_is_read_from_the_hubs_own_parquet(hub: FakeHub):
    repo = hub.repo("owner/old")
    repo.write({"old.py": "raise SystemExit('never run')"})
    with pytest.raises(SourceError, match="it has a loading script, which is never run"):
        opened(hub, "owner/old")
    repo.converted = {
        "plain/train/0000.parquet": parquet(questions(3)),
        "plain/test/0000.parquet": parquet(questions(2)),
    }
    source = opened(hub, "owner/old")
    assert [(one.name, [split.name for split in one.splits]) for one in source.card.configs] == [
        ("plain", ["test", "train"])
    ]
    assert len(list(source.records())) == 5
    assert source.card.revision not in (repo.sha, "")
    assert len(list(open_hub(source.name, Hub(hub.url)).records())) == 5


def test_why_a_dataset_cannot_be_used(hub: FakeHub):
    hub.repo("owner/gated").write({"train.jsonl": '{"a": 1}\n'})
    hub.repos["owner/gated"].gated = "manual"
    hub.repo("owner/pictures").write({"a.zip": b"PK"})
    hub.repo("owner/empty").write({"train.jsonl": ""})
    hub.repo("owner/secret", private=True).write({"train.jsonl": '{"a": 1}\n'})
    whys = {
        "owner/gated": "it is gated: ask for access on its page, and set HF_TOKEN",
        "owner/pictures": "it has no file of rows that can be read",
        "owner/empty": "it has no file of rows that can be read",
        "owner/nowhere": "owner/nowhere is not there, or not for this token",
        f"{NAME}@0123abc": "0123abc is not there",
        f"{NAME}:french": "it has no configuration 'french'; it has default",
    }
    for name, why in whys.items():
        with pytest.raises(SourceError) as raised:
            opened(hub, name)
        assert why in str(raised.value)
    assert len(list(opened(hub, "owner/secret").records())) == 1
    hub.repos["owner/gated"].granted = True
    assert len(list(opened(hub, "owner/gated").records())) == 1


@pytest.mark.parametrize("fault", [429, 500, 502, "html", "half"])
@pytest.mark.parametrize("operation", ["info", "tree", "resolve", "cdn"])
def test_a_hub_that_stumbles_while_it_is_read_is_asked_again(hub: FakeHub, operation: str, fault: int | str):
    if fault == "html" and operation in ("resolve", "cdn"):
        pytest.skip("a file may be HTML; its length is what tells")
    hub.refusing[operation] = [fault]
    source = opened(hub)
    hub.refusing[operation] = [fault]
    assert len(list(source.records())) == 4_500


def test_a_file_that_is_not_as_long_as_the_hub_said_is_no_end_of_the_data(hub: FakeHub):
    hub.redirecting = False
    source = opened(hub)
    hub.refusing["resolve"] = "html"
    told: list[tuple[str, str]] = []
    assert list(source.drawn(0, lambda ref, why: told.append((ref, why)))) == []
    assert "is not as long as the Hub says it is" in told[0][1]


def test_a_dataset_that_vanishes_while_it_is_read_is_told_and_what_was_read_stays(hub: FakeHub):
    source = opened(hub)
    told: list[tuple[str, str]] = []
    records = source.records(skip=lambda ref, why: told.append((ref, why)))
    first = [next(records) for _ in range(10)]
    del hub.repos[NAME]
    rest = list(records)
    assert len(first) + len(rest) < 4_500
    assert "is not there, or not for this token" in told[0][1]


def test_paths_that_lead_out_of_a_repository_are_not_followed(hub: FakeHub):
    hub.repo("owner/bad").write({"../evil.jsonl": '{"a": 1}\n', "/abs.jsonl": '{"a": 1}\n', "good.jsonl": '{"a": 2}\n'})
    assert [record.fields for record in opened(hub, "owner/bad").records()] == [{"a": 2}]


@pytest.mark.parametrize("name", ["hub:", "hub:a/b/c", "hub:a b", "hub:a/b@", "hub:../x/y"])
def test_a_name_that_is_none_is_refused_with_an_example(name: str):
    with pytest.raises(ConfigError, match="write it like hub:owner/name"):
        read_name(name)


def test_no_network_is_one_sentence():
    with pytest.raises(HubError, match=r"http://127\.0\.0\.1:9 cannot be reached") as raised:
        open_hub(NAME, Hub("http://127.0.0.1:9", pause=lambda _: None))
    assert raised.value.kind == "unreachable"


def test_a_dataset_of_a_hub_is_a_source_like_any_other(hub: FakeHub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    sources, left_out = open_sources([f"hub:{NAME}", "hub:owner/nowhere"])
    assert [source.card.id for source in sources] == [NAME]
    assert left_out[0][0] == "hub:owner/nowhere"
    with pytest.raises(SourceError, match="name it as hub:OWNER/NAME"):
        open_sources(["hub"])
