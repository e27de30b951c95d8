"""Pushing to a Hub on this machine, through `huggingface_hub` as it is: what arrives, what is refused, what is said."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import upcycle
from upcycle.cli import main
from upcycle.config import BuildConfig
from upcycle.errors import ConfigError, ProviderError, RowKind, StaleRunError
from upcycle.records import Dropped, Example, Origin
from upcycle.report.card import write_card
from upcycle.report.croissant import write_croissant
from upcycle.report.dataset import STAGE, write
from upcycle.report.push import push
from upcycle.report.summary import summarise
from upcycle.run import Run
from upcycle.sources.licences import HUB_LICENCES
from upcycle.task import make_task
from upcycle.testing import FakeHub, HubFile

pytest.importorskip("huggingface_hub")
# Its upload of open files uses a spelling that its own HTTP client warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

NAME = "somebody/animals"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of the fake Hub, and nothing of this machine's."""
    monkeypatch.setenv("HF_TOKEN", "hf_fake")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return "hf_fake"


@pytest.fixture
def hub(token: str) -> Iterator[FakeHub]:
    with FakeHub(token=token, licences=HUB_LICENCES) as running:
        yield running


def make_run(path: Path, licences: tuple[str, ...] = ("cc-by-4.0",), *, rows: int = 30, shard: bool = False) -> Path:
    """A finished run's folder; its source is under these licences."""
    task, config = make_task("Say which animal is larger.", language="en"), BuildConfig(rows=rows)
    with Run(path) as run:
        for n in range(rows):
            origin = Origin("datatune", source="zoo", revision="r", record=str(n), plan="p", licences=licences)
            example = Example(f"{n:016x}", f"ant or elephant {n}?", f"elephant {n}", origin)
            run.journal.row(STAGE, example.id, state="kept", kind=RowKind.OK, value=example)
        drop = Dropped("d", Origin("datatune", source="zoo"), "curation", RowKind.DUPLICATE, "repeats a row")
        run.journal.row(STAGE, drop.id, state="dropped", kind=drop.kind, value=drop)
        run.journal.commit()
        written = write(run, split=config.split, seed=0)
        report = summarise(task, config, run, written, None)
        write_croissant(task, run, report)
        write_card(task, config, run, report)
    return path


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return make_run(tmp_path / "zoo")


FILES = [
    "README.md", "croissant.json", "data/train-00000-of-00001.parquet", "dropped/train-00000-of-00001.parquet",
    "provenance/train-00000-of-00001.parquet",
]  # fmt: skip


def test_one_private_commit_holds_rows_card_and_croissant(zoo: Path, hub: FakeHub):
    done = push(zoo, NAME, endpoint=hub.url)
    repo = hub.repos[NAME]
    assert repo.private
    assert [commit.summary for commit in repo.commits] == ["initial commit", "5 files by upcycle"]
    assert sorted(repo.files) == [".gitattributes", *FILES]
    for name in FILES:
        assert repo.files[name].content == (zoo / name).read_bytes()
        assert repo.files[name].lfs == name.endswith(".parquet")
    assert (done.commit, done.changed, done.private) == (repo.sha, True, True)
    assert done.url == f"{hub.url}/datasets/{NAME}"


def test_a_report_and_plans_go_along_and_nothing_of_the_users(zoo: Path, hub: FakeHub):
    (zoo / "report.html").write_text("<title>report</title>")
    (zoo / "plans").mkdir()
    for name in ("zoo.yaml", "zoo.md", "zoo.py"):
        (zoo / "plans" / name).write_text("source: zoo\n")
    (zoo / "task.yaml").write_text("instruction: secret\n")
    push(zoo, NAME, endpoint=hub.url)
    assert set(hub.repos[NAME].files) - {".gitattributes", *FILES} == {"report.html", "plans/zoo.yaml", "plans/zoo.md"}


def test_pushing_again_sends_nothing_twice_and_makes_no_commit(zoo: Path, hub: FakeHub):
    first = push(zoo, NAME, endpoint=hub.url)
    uploads = hub.counts["upload"]
    again = push(zoo, NAME, endpoint=hub.url)
    assert (again.commit, again.changed) == (first.commit, False)
    assert hub.counts["upload"] == uploads
    assert len(hub.repos[NAME].commits) == 2
    assert "holds exactly this already" in str(again)


def test_shards_of_an_earlier_push_go_and_the_users_own_files_stay(zoo: Path, hub: FakeHub):
    push(zoo, NAME, endpoint=hub.url)
    hub.repos[NAME].commit("by hand", {"data/train-00001-of-00002.parquet": HubFile(b"old", lfs=True),
                                       "notes.md": HubFile(b"mine")})  # fmt: skip
    done = push(zoo, NAME, endpoint=hub.url)
    assert done.removed == ["data/train-00001-of-00002.parquet"]
    assert done.changed
    assert sorted(hub.repos[NAME].files) == sorted([".gitattributes", *FILES, "notes.md"])


def test_what_was_uploaded_before_an_interruption_is_not_sent_again(zoo: Path, token: str):
    with FakeHub(token=token, refusing={"commit": [400]}) as hub:
        with pytest.raises(ProviderError, match="answered 400"):
            push(zoo, NAME, endpoint=hub.url)
        uploads = hub.counts["upload"]
        assert push(zoo, NAME, endpoint=hub.url).changed
        assert hub.counts["upload"] == uploads == 3


def test_large_files_are_sent_in_parts(zoo: Path, token: str):
    with FakeHub(token=token, part_bytes=1_000) as hub:
        push(zoo, NAME, endpoint=hub.url)
        data = "data/train-00000-of-00001.parquet"
        assert hub.repos[NAME].files[data].content == (zoo / data).read_bytes()
        assert hub.counts["upload"] > 3


def test_a_bare_name_is_put_under_the_tokens_account(zoo: Path, hub: FakeHub):
    done = push(zoo, "animals", endpoint=hub.url)
    assert (done.repo, list(hub.repos)) == (NAME, [NAME])


def test_public_is_asked_for(zoo: Path, hub: FakeHub):
    assert not push(zoo, NAME, endpoint=hub.url, public=True).private
    assert not hub.repos[NAME].private
    with pytest.raises(ConfigError, match="is public, and --public was not given; nothing was sent"):
        push(zoo, NAME, endpoint=hub.url)


def test_what_was_dropped_is_not_published(zoo: Path, hub: FakeHub, tmp_path: Path):
    (zoo / "report.html").write_text("<title>report</title>")
    done = push(zoo, NAME, endpoint=hub.url, public=True)
    files = hub.repos[NAME].files
    assert sorted(set(files) - {".gitattributes"}) == sorted({*FILES} - {"dropped/train-00000-of-00001.parquet"})
    card = files["README.md"].content.decode()
    assert "What was dropped is not published" in card
    assert "path: dropped/" not in card
    assert "path: provenance/" in card
    assert {part.name: part.bytes for part in done.files}["README.md"] == len(card.encode())
    document = json.loads(files["croissant.json"].content)
    assert [one["@id"] for one in document["recordSet"]] == ["default/train", "provenance/train"]
    assert {one["@id"] for one in document["distribution"]} <= set(files)
    assert b"dropped/" in (zoo / "README.md").read_bytes()


@pytest.mark.parametrize(("name", "text"), [("croissant.json", "{"), ("README.md", "---\na: [\n---\n")])
def test_a_card_that_was_broken_by_hand_is_not_published(zoo: Path, name: str, text: str):
    (zoo / name).write_text(text)
    with pytest.raises(ConfigError, match=f"{name} cannot be read"):
        push(zoo, NAME, public=True, dry_run=True)


def test_a_private_repository_stays_private(zoo: Path, hub: FakeHub):
    hub.repo(NAME, private=True)
    assert push(zoo, NAME, endpoint=hub.url, public=True).private
    assert hub.repos[NAME].private


@pytest.mark.parametrize(
    ("licences", "why"),
    [
        ((), "The sources of 30 rows state no licence"),
        (("cc-by-nd-4.0",), "forbids changed copies"),
        (("my-own-words",), "are not known"),
    ],
)
def test_rows_that_may_not_be_shown_are_pushed_privately_only(
    tmp_path: Path, hub: FakeHub, licences: tuple[str, ...], why: str
):
    run = make_run(tmp_path / "zoo", licences)
    with pytest.raises(ConfigError, match=f"must not be public. .*{why}.*keep this dataset private"):
        push(run, NAME, endpoint=hub.url, public=True)
    assert hub.requests == []
    assert push(run, NAME, endpoint=hub.url).private


def test_a_dry_run_needs_no_network_and_no_token(zoo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    planned = push(zoo, NAME, dry_run=True)
    assert sorted(part.name for part in planned.files) == FILES
    assert {part.name: part.bytes for part in planned.files}["README.md"] == (zoo / "README.md").stat().st_size
    told = str(planned)
    assert f"would push to http://127.0.0.1:9/datasets/{NAME} (private), in one commit; nothing was sent" in told
    assert "licence  cc-by-4.0: Every row is under cc-by-4.0" in told


@pytest.mark.parametrize(
    ("refusing", "error", "why"),
    [
        ({"info": 401}, ConfigError, "the token is not accepted"),
        ({"create": 401}, ConfigError, "the token is not accepted"),
        ({"create": 403}, ConfigError, "may not write there"),
        ({"preupload": 403}, ProviderError, "may not write there"),
        ({"commit": 404}, ProviderError, "it is not there, or the token may not see it"),
        ({"commit": 409}, ProviderError, "somebody changed it meanwhile"),
        ({"commit": 412}, ProviderError, "somebody changed it meanwhile"),
        ({"commit": 429}, ProviderError, "asks to slow down"),
        ({"commit": 507}, ProviderError, "answered 507"),
        ({"upload": 403}, ProviderError, "may not write there"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence_without_the_token(
    zoo: Path, token: str, refusing: dict[str, int], error: type[Exception], why: str
):
    with FakeHub(token=token, refusing=refusing) as hub, pytest.raises(error, match=why) as caught:
        push(zoo, NAME, endpoint=hub.url)
    assert "\n" not in str(caught.value)
    assert token not in str(caught.value)


def test_a_card_the_hub_does_not_take_is_refused_in_its_words(zoo: Path, token: str):
    with FakeHub(token=token, licences=frozenset({"mit"})) as hub:
        with pytest.raises(ProviderError, match=r"refused .*must be one of the known licences, not 'cc-by-4\.0'"):
            push(zoo, NAME, endpoint=hub.url)
        assert hub.counts["upload"] == 0


def test_a_wrong_token_is_said_to_be_wrong(zoo: Path, token: str):
    with FakeHub(token="hf_another") as hub, pytest.raises(ConfigError, match="the token is not accepted"):
        push(zoo, NAME, endpoint=hub.url)


def test_a_name_under_another_account_is_refused(zoo: Path, hub: FakeHub):
    with pytest.raises(ConfigError, match="may not write there"):
        push(zoo, "somebody-else/animals", endpoint=hub.url)


def test_a_commit_by_somebody_else_meanwhile_is_not_overwritten(zoo: Path, hub: FakeHub):
    push(zoo, NAME, endpoint=hub.url)
    (zoo / "README.md").write_text((zoo / "README.md").read_text() + "\nMore.\n")
    repo = hub.repos[NAME]
    seen = repo.sha

    class Hurried(FakeHub):
        def routes(self):
            return [(*rest, self.hurry(page) if rest[2] == "preupload" else page) for *rest, page in super().routes()]

        def hurry(self, page):
            async def hurried(request):
                self.repos[NAME].commit("meanwhile", {"README.md": HubFile(b"theirs")})
                return await page(request)

            return hurried

    with Hurried(token=hub.token) as other:
        other.repos[NAME] = repo
        with pytest.raises(ProviderError, match="somebody changed it meanwhile"):
            push(zoo, NAME, endpoint=other.url)
    assert repo.files["README.md"].content == b"theirs"
    assert repo.commits[-2].oid == seen


def test_a_server_that_is_not_there_is_named(zoo: Path, token: str):
    with pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:9: the server cannot be reached"):
        push(zoo, NAME, endpoint="http://127.0.0.1:9")


def test_without_a_token_it_says_how_to_get_one(zoo: Path, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment["HF_HOME"] = str(tmp_path / "nobody")
    done = subprocess.run(
        [sys.executable, "-c", "from upcycle.cli import entry; entry()", "push", str(zoo), NAME],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "upcycle: there is no token for the Hub; set HF_TOKEN, or log in with: hf auth login\n"


@pytest.mark.parametrize(
    ("path", "repo", "endpoint", "sentence"),
    [
        ("away", NAME, None, "away is not a folder; give the folder of a run"),
        ("note.txt", NAME, None, "note.txt is not a folder"),
        ("none", NAME, None, "none holds no rows"),
        ("zoo", "a/b/c", None, "'a/b/c' is not a name a Hub takes; write it like owner/name"),
        ("zoo", "datasets/my animals", None, "is not a name a Hub takes"),
        ("zoo", "", None, "'' is not a name a Hub takes"),
        ("zoo", "me/animals.git", None, "is not a name a Hub takes"),
        ("zoo", "me/a--b", None, "is not a name a Hub takes"),
        ("zoo", NAME, "huggingface", "'huggingface' is not an address"),
        ("bare", NAME, None, "bare has no README.md, so it is not whole"),
    ],
)
def test_what_cannot_be_pushed_is_one_sentence(
    zoo: Path, monkeypatch: pytest.MonkeyPatch, path: str, repo: str, endpoint: str | None, sentence: str
):
    folder = zoo.parent
    monkeypatch.chdir(folder)
    (folder / "note.txt").write_text("hello")
    (folder / "none").mkdir()
    make_run(folder / "bare")
    (folder / "bare" / "README.md").unlink()
    with pytest.raises(ConfigError) as caught:
        push(path, repo, endpoint=endpoint, dry_run=True)
    assert sentence in str(caught.value)


def test_a_run_that_is_being_written_is_left_alone(zoo: Path):
    with (zoo / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StaleRunError, match="still being written"):
            push(zoo, NAME, dry_run=True)


@pytest.mark.parametrize("folder", ["data", "provenance", "dropped"])
def test_damaged_rows_are_named(zoo: Path, folder: str):
    (zoo / folder / "train-00000-of-00001.parquet").write_bytes(b"not parquet")
    with pytest.raises(ConfigError, match=r"train-00000-of-00001\.parquet cannot be read"):
        push(zoo, NAME, dry_run=True)


def test_a_dataset_without_provenance_has_the_licence_its_card_states(zoo: Path):
    for file in (zoo / "provenance").iterdir():
        file.unlink()
    assert push(zoo, NAME, dry_run=True).licence.rows == {"cc-by-4.0": 30}
    (zoo / "README.md").write_text("# no front matter\n")
    assert not push(zoo, NAME, dry_run=True).licence.may_publish


async def test_in_python_it_is_one_function(zoo: Path, hub: FakeHub):
    done = await upcycle.push(zoo, NAME, endpoint=hub.url)
    assert json.loads(json.dumps(done.facts()))["commit"] == hub.repos[NAME].sha


def test_on_the_command_line_it_tells_what_it_did(
    zoo: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    assert main(["push", str(zoo), NAME, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dry_run"] is True
    assert hub.requests == []
    assert main(["push", str(zoo), NAME]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"pushed to {hub.url}/datasets/{NAME} (private), commit")
    assert told.err == ""
    assert main(["push", str(zoo), "a b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


READ_BACK = """
import sys
from huggingface_hub import hf_hub_download, list_repo_files
repo, out = sys.argv[1:]
print(sorted(list_repo_files(repo, repo_type="dataset")))
print(hf_hub_download(repo, "data/train-00000-of-00001.parquet", repo_type="dataset", local_dir=out))
"""


def test_what_was_pushed_is_read_back_by_another_process(zoo: Path, hub: FakeHub, tmp_path: Path):
    push(zoo, NAME, endpoint=hub.url)
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, NAME, str(tmp_path / "out")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    back = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    assert back.equals(pq.read_table(zoo / "data" / "train-00000-of-00001.parquet"))


LOAD = """
import sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1])
print({split: len(part) for split, part in rows.items()}, rows["train"].column_names[:3])
"""


def test_what_was_pushed_loads_by_its_name(zoo: Path, hub: FakeHub, tmp_path: Path):
    pytest.importorskip("datasets")
    push(zoo, NAME, endpoint=hub.url)
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, NAME], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'train': 30} ['id', 'input', 'output']\n"
