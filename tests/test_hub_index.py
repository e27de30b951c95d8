"""Listing a Hub into an index: what is learnt, what is asked only once, and what no answer of a Hub can break."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from upcycle.cli import main
from upcycle.errors import ConfigError, SourceError
from upcycle.indexing import build_index, show_index, update_index
from upcycle.sources.hub.wire import Hub, HubError
from upcycle.sources.index.card_index import CardIndex
from upcycle.sources.index.known import Known
from upcycle.sources.index.listing import Listing
from upcycle.testing import FakeHub, FakeServer
from whole_runs import UPCYCLE

pytest.importorskip("huggingface_hub")

FRONT = "license: mit\nlanguage: [en]\npretty_name: Riddles {n}\ntask_categories: [question-answering]\n"
CARD = f"---\n{FRONT}---\n# Riddles\n"
ROWS = '{"riddle": "What has keys?", "answer": "a piano"}\n{"riddle": "What is wet?", "answer": "rain"}\n'


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index of this test alone, and nothing of this machine's."""
    monkeypatch.setenv("UPCYCLE_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "UPCYCLE_ROWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "index"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        fill(running, 6)
        yield running


def fill(hub: FakeHub, count: int) -> None:
    for n in range(count):
        repo = hub.repo(f"owner/riddles{n}")
        card = CARD.format(n=n) + "Riddles for children, with their answers. " * 10 + f"The end of card {n}."
        repo.write({"README.md": card, "train.jsonl": ROWS}, at=f"2026-01-{n + 1:02}T00:00:00.000Z")
        repo.downloads = 10 * n


def build(hub: FakeHub, **settings: object):
    return build_index(endpoint=hub.url, rows_endpoint=hub.rows_url, encoder="none", **settings)  # type: ignore[arg-type]


def known(index: Path, name: str = "owner/riddles5") -> Listing:
    with Known(index) as found:
        return found.get([name])[name].listing


def test_a_listed_dataset_has_licence_languages_use_revision_and_why_it_cannot_be_used(hub: FakeHub, index: Path):
    hub.repo("owner/gated").gated = "auto"
    hub.repo("owner/old").write({"old.py": "import datasets"})
    hub.repo("owner/pictures").write({"images.zip": b"PK"})
    report = build(hub, cards=0)
    assert (report.listings, report.changed, report.stopped) == (9, 9, "")
    one = known(index)
    assert (one.name, one.licence, one.languages, one.categories) == (
        "Riddles 5", "mit", ("en",), ("question-answering",),
    )  # fmt: skip
    assert (one.popularity, one.revision, one.modified[:10]) == (50, hub.repos[one.id].sha, "2026-01-06")
    assert one.skip == ""
    whys = [known(index, f"owner/{name}").skip for name in ("gated", "old", "pictures")]
    assert whys == ["gated", "a loading script, which is never run", "no file of rows that can be read"]


def test_whole_cards_and_first_rows_are_read_of_the_most_used(hub: FakeHub, index: Path):
    build(hub, cards=2, rows=1)
    assert known(index).text.endswith("The end of card 5.")
    assert known(index, "owner/riddles4").text.endswith("The end of card 4.")
    assert "The end" not in known(index, "owner/riddles3").text
    assert known(index).columns == ("riddle", "answer")
    assert known(index).types == ("string", "string")
    assert (known(index).rows, known(index).sample) == (2, "What has keys? a piano What is wet? rain")
    assert known(index, "owner/riddles4").columns == ()
    assert hub.counts["resolve"] == 2
    assert hub.counts["first-rows"] == 1


def test_only_the_most_used_are_listed_where_that_is_asked(hub: FakeHub):
    assert build(hub, most=2, cards=0).listings == 2
    assert CardIndex.open(show_index().path).search("riddles 5")[0].listing.id == "owner/riddles5"


def test_listing_again_asks_for_no_card_twice(hub: FakeHub, index: Path):
    build(hub, cards=10, rows=10)
    hub.counts.clear()
    again = build(hub, cards=10, rows=10)
    assert (again.changed, again.requests) == (0, 1)
    assert hub.counts == {"list": 1}
    assert known(index).text.endswith("The end of card 5.")


def test_update_fetches_what_changed_and_forgets_what_vanished(hub: FakeHub, index: Path):
    build(hub, cards=10)
    hub.repos["owner/riddles1"].write({"README.md": "# Jokes\nJokes of clowns."}, at="2026-03-01T00:00:00.000Z")
    hub.repo("owner/new").write({"README.md": "# New", "train.jsonl": ROWS}, at="2026-03-02T00:00:00.000Z")
    del hub.repos["owner/riddles2"]
    hub.counts.clear()
    report = update_index(endpoint=hub.url, cards=10, encoder="none")
    assert (report.changed, report.vanished, report.listings) == (2, 1, 6)
    assert hub.counts == {"list": 2, "resolve": 2}
    assert CardIndex.open(index).search("jokes of clowns")[0].listing.id == "owner/riddles1"
    hub.counts.clear()
    assert update_index(endpoint=hub.url, cards=10, encoder="none").changed == 0
    assert hub.counts == {"list": 2}


def test_a_page_of_changes_that_is_the_same_is_not_sent_again(hub: FakeHub):
    build(hub, cards=0)
    update_index(endpoint=hub.url, cards=0, encoder="none")
    wire = Hub(hub.url)
    path = "/api/datasets?full=true&sort=lastModified&direction=-1&limit=1000"
    _, first = wire.json(path)
    page, second = wire.json(path, headers={"If-None-Match": first.headers["etag"]})
    assert (page, second.status) == (None, 304)


FAULTS = [429, 500, 503, "html", "half"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["list", "resolve", "rows-info"])
def test_a_hub_that_stumbles_once_is_asked_again(hub: FakeHub, index: Path, fault: int | str, where: str):
    hub.refusing[where] = [fault]
    report = build(hub, cards=3, rows=3)
    assert (report.listings, report.stopped) == (6, "")
    assert known(index).columns == ("riddle", "answer")
    if (where, fault) != ("resolve", "html"):  # a card may be HTML
        assert known(index).text.endswith("The end of card 5.")


def test_a_pause_the_hub_names_is_kept_by_all(hub: FakeHub):
    waited: list[float] = []
    with FakeHub(refusing={"list": [429, 429]}, retry_after=7) as slow:
        fill(slow, 1)
        assert len(next(Hub(slow.url, pause=waited.append).pages("/api/datasets?limit=5"))) == 1
    assert len(waited) == 2
    assert all(6 < seconds <= 7 for seconds in waited)


def test_a_hub_that_only_fails_is_given_up_in_a_sentence_and_gone_on_with(hub: FakeHub, index: Path):
    waited: list[float] = []
    hub.refusing["list"] = 500
    with pytest.raises(HubError, match=r"does not answer as a Hub does \(it answered 500, 5 times\)"):
        next(Hub(hub.url, pause=waited.append).pages("/api/datasets"))
    assert waited == sorted(waited)
    assert len(waited) == 4


def test_without_a_network_what_is_known_stays_in_use(hub: FakeHub, capsys: pytest.CaptureFixture[str], index: Path):
    build(hub, cards=0)
    with Known(index) as found:
        found.set_meta("hub", "http://127.0.0.1:9")
    assert main(["index", "update", "--encoder", "none"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("6 datasets in")
    assert "stopped: http://127.0.0.1:9 cannot be reached" in told
    assert main(["search", "riddles for children", "--source", "hub"]) == 0
    assert "owner/riddles5" in capsys.readouterr().out


def test_without_a_network_and_with_nothing_known_it_is_said(capsys: pytest.CaptureFixture[str]):
    assert main(["index", "build", "--hub", "--endpoint", "http://127.0.0.1:9"]) == 2
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9 cannot be reached" in told
    assert len(told.splitlines()) == 1


CARDS = {
    "broken": "---\nlicense: [mit\n: :\n---\n# Riddles of the sphinx",
    "empty": "",
    "html": "<table>" + "<tr><td style='x'>sphinx</td></tr>" * 30_000,
    "latin": "# Rätsel \udcff".encode("utf-8", "surrogateescape"),
    "languages": "# 谜语 Загадки ألغاز पहेलियाँ なぞなぞ 수수께끼 sphinx",
    "list": "---\n- a\n- b\n---\nsphinx",
}


def test_no_card_can_break_an_index(index: Path):
    with FakeHub() as hub:
        for name, card in CARDS.items():
            hub.repo(f"odd/{name}").write({"README.md": card, "train.jsonl": ROWS})
        hub.repo("odd/none").write({"train.jsonl": ROWS})
        assert build(hub, cards=10, rows=10).listings == 7
    assert "sphinx" in known(index, "odd/broken").text
    assert len(known(index, "odd/html").text) <= 4000
    assert "谜语" in known(index, "odd/languages").text
    assert CardIndex.open(index).search("загадки")[0].listing.id == "odd/languages"


def test_a_dataset_that_vanishes_while_it_is_read_is_left_out_and_named(hub: FakeHub):
    class Vanishing(FakeHub):
        def routes(self):
            return [(*rest, self.gone(page) if rest[2] == "list" else page) for *rest, page in super().routes()]

        def gone(self, page):
            async def answered(request):
                told = await page(request)
                self.repos.pop("owner/riddles5", None)
                return told

            return answered

    with Vanishing() as other:
        fill(other, 6)
        report = build(other, cards=6)
    assert (report.listings, report.vanished) == (5, 1)
    assert report.notes == ("owner/riddles5 vanished while it was read",)


def command(hub: FakeHub, *more: str) -> list[str]:
    return [UPCYCLE, "index", "build", "--hub", "--endpoint", hub.url, "--rows-endpoint", hub.rows_url,
            "--encoder", "none", "--cards", "30", "--rows", "30", "--json", *more]  # fmt: skip


def until_held(process: subprocess.Popen, hub: FakeHub, stage: str, after: int) -> None:
    """Return once the process waits for an answer that the hub holds back."""
    while hub.counts[stage] <= after:
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {process.wait(0.02)} before it was held")


@pytest.mark.parametrize(("stage", "after"), [("list", 2), ("resolve", 9), ("first-rows", 11)])
def test_a_killed_listing_goes_on_where_it_stopped_and_asks_nothing_twice(index: Path, stage: str, after: int):
    with FakeHub(page=10, holding={stage: after}) as hub:
        fill(hub, 30)
        with subprocess.Popen(command(hub), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            until_held(process, hub, stage, after)
            process.send_signal(signal.SIGKILL)
        assert not (index / "current").exists()  # nothing half-written is ever in use
        before = list(hub.asked)
        hub.holding.clear()
        done = subprocess.run(command(hub), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["listings"] == 30
        again = hub.asked[len(before) :]
    # What was answered and committed is not asked again. In flight at the kill were one page, or eight at once of cards
    # and of first rows; where the listing ended is looked at again.
    assert len(set(before) & set(again)) <= (1 if stage == "list" else 1 + 2 * 8)
    assert hub.counts["list"] <= 3 + 1
    assert known(index, "owner/riddles29").columns == ("riddle", "answer")
    assert known(index, "owner/riddles29").text.endswith("The end of card 29.")


def test_ctrl_c_is_exit_code_130_and_says_that_it_goes_on(index: Path):
    with FakeHub(page=10, holding={"list": 1}) as hub:
        fill(hub, 30)
        with subprocess.Popen(command(hub), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            until_held(process, hub, "list", 1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "upcycle: interrupted; the same command goes on where it stopped"


def test_a_place_the_hub_has_forgotten_begins_the_list_again(index: Path):
    with FakeHub(page=10) as hub:
        fill(hub, 30)
        with Known(index) as found:
            walk = {"kind": "all", "number": 1, "next": "/api/datasets?full=true&cursor=gone", "most": 0, "listed": 10}
            found.set_meta("walk", json.dumps(walk))
            found.set_meta("hub", hub.url)
        report = build(hub, cards=0)
    assert report.listings == 30
    assert "begun again" in report.notes[0]


CARELESS = [
    (["build"], "say what to list: upcycle index build --hub"),
    (["build", "--hub", "--endpoint", "huggingface.co"], "is not the address of a Hub"),
    (["build", "--hub", "--most", "0"], "--most is 0"),
    (["build", "file.jsonl", "--hub"], "build takes no file"),
    (["update"], "holds nothing of a Hub that could be updated"),
    (["update", "--fresh"], "update asks for what changed"),
    (["build", "--hub", "--endpoint", "http://127.0.0.1:9", "--rows"], "give its address with --rows-endpoint"),
]


@pytest.mark.parametrize(("asked", "said"), CARELESS, ids=[" ".join(asked) for asked, _ in CARELESS])
def test_what_is_wrong_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str], asked: list[str], said: str):
    assert main(["index", *asked]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_another_hub_is_not_mixed_into_the_index_of_the_first(hub: FakeHub):
    build(hub, cards=0)
    with FakeHub() as other:
        fill(other, 1)
        with pytest.raises(ConfigError, match="give --fresh to begin anew"):
            build(other)
        assert build(other, fresh=True).listings == 1


def test_a_wrong_address_leaves_nothing_behind_that_the_right_one_meets(hub: FakeHub):
    with pytest.raises(SourceError, match="nothing is known yet"):
        build_index(endpoint="http://127.0.0.1:9", encoder="none")
    assert build(hub).listings == 6


def test_a_server_that_is_no_hub_is_said_to_be_none(capsys: pytest.CaptureFixture[str]):
    with FakeServer() as server:
        assert main(["index", "build", "--hub", "--endpoint", server.url.removesuffix("/v1")]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "nothing is known yet" in told


def test_a_hub_without_datasets_is_said_to_have_none():
    with FakeHub() as empty, pytest.raises(SourceError, match="lists no datasets"):
        build(empty)


def test_the_offline_switch_of_the_hubs_own_library_is_honoured(hub: FakeHub):
    told = subprocess.run(
        command(hub), capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False
    )
    assert told.returncode == 2
    assert "HF_HUB_OFFLINE is set" in told.stderr
    assert hub.requests == []


def test_the_token_goes_to_the_hub_and_private_datasets_are_listed(hub: FakeHub, monkeypatch: pytest.MonkeyPatch):
    hub.repo("owner/private", private=True)
    assert build(hub, cards=0).listings == 7
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    assert build(hub, cards=0).listings == 6
