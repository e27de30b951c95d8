"""What careless hands give: each gets one sentence, the right exit code, and nothing is lost or overwritten."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upcycle.cli import main
from upcycle.testing import FakeServer

TASK = "Say whether a review is positive or negative."
PLACES = ["Paris", "Rome", "Berlin", "Madrid", "Lisbon", "Vienna", "Prague", "Warsaw", "Athens", "Dublin"]
SAID = {
    "positive": ("We loved {} and would go again", "What a great day in {}", "Our trip to {} was wonderful"),
    "negative": ("We hated {} and left early", "An awful trip to {}", "Our days in {} were dull and loud"),
}
DEMONSTRATIONS = [
    {"input": "A lovely film, and the actors were great in every scene.", "output": "positive"},
    {"input": "A boring film, and the actors were bad in every scene.", "output": "negative"},
    {"input": "We enjoyed every minute of this walk along the coast.", "output": "positive"},
    {"input": "We regretted every minute of this walk along the coast.", "output": "negative"},
]
BUILD = ("build", TASK, "-e", "demos.jsonl", "--source", "reviews", "-n", "5", "-o", "run", "--model", "none")


class Said(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence; progress lines aside, stderr holds nothing else."""
        lines = [line for line in self.err.splitlines() if line.startswith("upcycle: ")]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0], self.err
        assert "Traceback" not in self.err
        return lines[0]


Command = Callable[..., Said]


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def reviews() -> list[dict[str, str]]:
    return [
        {"review": f"{text.format(place)}, and everybody who came along said so.", "verdict": verdict}
        for place in PLACES
        for verdict, texts in SAID.items()
        for text in texts
    ]


@pytest.fixture
def upcycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in a folder with sixty reviews and four demonstrations, on a machine with no model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPCYCLE_LOCAL_PORTS", "")
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "reviews" / "reviews.jsonl", lines(reviews()))
    write(tmp_path / "demos.jsonl", lines(DEMONSTRATIONS))

    def run(*arguments: str) -> Said:
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


def with_other(arguments: Sequence[str], **flags: str) -> list[str]:
    """The arguments, some flags given another value: `with_other(BUILD, n="0")`."""
    changed = list(arguments)
    for name, value in flags.items():
        flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if flag in changed:
            changed[changed.index(flag) + 1] = value
        else:
            changed += [flag, value]
    return changed


def contents(folder: Path) -> dict[str, bytes]:
    """Every file a user would miss; the journal and its lock are looked at where they matter."""
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("run."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


# the command line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bild", TASK), "invalid choice: 'bild'"),
        (("build",), "the following arguments are required: TASK"),
        ((*BUILD, "--fast"), "unrecognized arguments: --fast"),
        (with_other(BUILD, n="many"), "invalid int value: 'many'"),
        (with_other(BUILD, n="0"), "rows: Input should be greater than or equal to 1"),
        (with_other(BUILD, n="-5"), "rows: Input should be greater than or equal to 1"),
        (with_other(BUILD, concurrency="0"), "concurrency: Input should be greater than or equal to 1"),
        (with_other(BUILD, licence="gpl"), "invalid choice: 'gpl' (choose from 'permissive', 'any')"),
        (with_other(BUILD, budget="lots"), "budget 'lots' is not understood; write 5usd, 200ktok or 1000calls"),
        (with_other(BUILD, split="test=1"), "split names train"),
        (with_other(BUILD, split="train=x"), "--split 'train=x' is not like train=90,validation=10"),
        (with_other(BUILD, method="magic"), "method 'magic' is not there; known methods: datatune"),
        (with_other(BUILD, max_share="7"), "max_share: Input should be less than or equal to 1"),
        (with_other(BUILD, contract="colour=red"), "unknown key 'contract.colour'; known keys: kind, labels"),
        (with_other(BUILD, contract="max_chars=long"), "contract.max_chars: Input should be a valid integer"),
        (with_other(BUILD, contract="kind=poem"), "contract.kind: Input should be 'label', 'choice'"),
        (with_other(BUILD, contract="kind=number"), "demonstration 1 breaks the contract"),
        (with_other(BUILD, contract="max_chars"), "--contract 'max_chars' is not KEY=VALUE"),
        (with_other(BUILD, model="gpt-4"), "model 'gpt-4' is not understood; --model takes openai/NAME"),
        (with_other(BUILD, model="openai/some"), "openai/some needs a key in OPENAI_API_KEY"),
        (with_other(BUILD, model="anthropic/some"), "anthropic/some needs a key in ANTHROPIC_API_KEY"),
        (with_other(BUILD, model="embedded/huge"), "no embedded weights are called 'huge'"),
        (with_other(BUILD, model="embedded/smollm2"), "run: upcycle models fetch smollm2"),
        (with_other(BUILD, model="away.gguf"), "there is no model file away.gguf"),
        (with_other(BUILD, model="openai/some", base_url="localhost:8000"), "'localhost:8000' is not an address"),
        (with_other(BUILD, gold="away.jsonl"), "gold: away.jsonl does not exist"),
        (with_other(BUILD, o="demos.jsonl"), "demos.jsonl is a file; give a folder for the run"),
        (with_other(BUILD, o="demos.jsonl/run"), "demos.jsonl/run cannot be made a folder"),
        (with_other(BUILD, o="/proc/new-run"), "/proc/new-run cannot be made a folder (No such file or directory)"),
        (with_other(BUILD, source="caf\udce9"), "holds a name that is not UTF-8 text"),
        (with_other(BUILD, o="reviews"), "reviews exists and is not a run"),
        (("build", "", "--model", "none"), "instruction: String should have at least 3 characters"),
        (("build", "task.yaml"), "task.yaml does not exist"),
        (("build", "reviews"), "reviews is a folder; give a task file, or the task in a sentence"),
        (("search", TASK, "--source", "reviews", "-k", "0"), "--limit is 0; give at least 1"),
        (("search", TASK, "--source", "away"), "there is no source 'away'"),
        (("status", "."), "holds no run"),
        (("status", "away"), "away holds no run"),
        (("status", "demos.jsonl"), "demos.jsonl holds no run"),
        (("why", "away", "1234"), "away holds no run"),
        (("retry", "away"), "away holds no run"),
        (("models", "fetch"), "say which model to fetch: smollm2, minilm"),
        (("models", "fetch", "huge"), "no embedded weights are called 'huge'"),
        (("init", "new.yaml"), "there is no terminal to ask on; give --instruction"),
        (
            ("init", "new.yaml", "--instruction", TASK, "--rows", "0"),
            "rows: Input should be greater than or equal to 1",
        ),
        (("init", "new.yaml", "--instruction", TASK, "--examples", "away.csv"), "away.csv does not exist"),
        (("init", "demos.jsonl", "--instruction", TASK), "demos.jsonl exists; give another name, or --force"),
        (("init", "demos.jsonl/new.yaml", "--instruction", TASK), "demos.jsonl cannot be made a folder"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_nothing_begins(
    upcycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], sentence: str
):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    before = contents(tmp_path)
    said = upcycle(*arguments)
    assert sentence in said.sentence
    assert said.code == 2
    assert said.out == ""
    after = contents(tmp_path)
    assert {name: after.get(name) for name in before} == before
    assert not any(name.startswith("run/data") for name in after)


@pytest.mark.parametrize("verb", [(), ("status", "away"), ("why", "away", "1"), ("build", TASK, "-n", "x")])
def test_as_a_process_it_is_the_same_sentence_and_exit_code(tmp_path: Path, verb: tuple[str, ...]):
    command = [sys.executable, "-c", "from upcycle.cli import entry; entry()", *verb]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if verb else 0)


# the task file and the demonstrations


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("instruction: Do it.\nrowz: 6\n", "task.yaml:2: unknown key 'rowz'; known keys: name, instruction"),
        ("instruction: Do it.\nrows: many\n", "task.yaml:2: rows: Input should be a valid integer"),
        ("instruction: Do it.\ncontract:\n  max_char: 3\n", "task.yaml:3: unknown key 'contract.max_char'"),
        ("instruction: Do it.\nmethods:\n  datatune:\n    votes: no\n", "task.yaml:4: methods.datatune.votes: "),
        ("instruction: Do it.\nbase_url: here\n", "task.yaml:2: base_url: 'here' is not an address"),
        ("instruction: [Do it.\n", "task.yaml:2: not valid YAML"),
        ("just a sentence\n", "task.yaml: expected keys and values, found str"),
        ("", "task.yaml: expected keys and values, found NoneType"),
        ("instruction: Do it.\ndemonstrations: away.jsonl\n", "away.jsonl does not exist"),
        ("instruction: Do it.\ndemonstrations: [{input: a}]\n", "task.yaml:2: demonstrations.0.output: Field required"),
        (b"instruction: caf\xe9\n", "task.yaml cannot be read as UTF-8 text"),
        (b"\x00\x01\x02", "task.yaml"),
    ],
)
def test_a_wrong_task_file_is_one_sentence_with_its_line(
    upcycle: Command, tmp_path: Path, text: str | bytes, sentence: str
):
    write(tmp_path / "task.yaml", text)
    said = upcycle("build", "task.yaml", "--model", "none", "-o", "run")
    assert sentence in said.sentence
    assert said.code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"input": "a", "output": "b"}\n{"input": "c"}\n', "a.jsonl line 2 has no 'output'"),
        ("a.jsonl", "{}\n", "a.jsonl line 1 has no 'input'"),
        ("a.jsonl", "input: a\n", "a.jsonl line 1 is not JSON"),
        ("a.jsonl", "", "a.jsonl is empty"),
        ("a.jsonl", b"\xff\xfe{\x00", "a.jsonl cannot be read as UTF-8 text"),
        ("a.json", '{"input": "a"}', "a.json must hold a list of rows"),
        ("a.csv", "input,output\na,b\nc\n", "a.csv line 3 has no 'output'"),
        ("a.csv", "text,label\na,b\n", "a.csv line 2 has no 'input'"),
        ("a/b.jsonl", "", "demonstrations: a is a folder"),
    ],
)
def test_wrong_demonstrations_are_named_with_their_line(
    upcycle: Command, tmp_path: Path, name: str, content: str | bytes, sentence: str
):
    write(tmp_path / name, content)
    said = upcycle(*with_other(BUILD, e=name.split("/")[0]))
    assert sentence in said.sentence
    assert said.code == 2
    assert not (tmp_path / "run").exists()


# sources


def broken_files() -> dict[str, tuple[bytes, str]]:
    """Name to content, and what is said of it."""
    good = lines(reviews()).encode()
    return {
        "empty.jsonl": (b"", "it is empty"),
        "blank.csv": (b"\n\n", "it is empty"),
        "binary.jsonl": (bytes(range(256)) * 20, "it is a binary file, not text"),
        "latin.csv": ("review,verdict\nCafé,positive\n".encode("latin-1"), "it is not UTF-8 text; save it as UTF-8"),
        "wide.csv": ("review,verdict\na,positive\n".encode("utf-16"), "it is UTF-16 text; save it as UTF-8"),
        "corrupt.parquet": (b"PAR1" + b"\x07" * 500 + b"PAR1", "it is not a readable parquet file"),
        "cut.parquet": (b"PAR1", "it is not a readable parquet file"),
        "torn.jsonl.gz": (gzip.compress(good)[:60], "it is a damaged gzip file"),
        "numbers.json": (b"[1, 2, 3]", "no row of it can be read"),
    }


def test_each_unreadable_source_file_is_named_and_the_others_go_on(upcycle: Command, tmp_path: Path):
    for name, (content, _) in broken_files().items():
        write(tmp_path / "reviews" / name, content)
    said = upcycle(*with_other(BUILD, n="60"))
    assert said.code == 0, said.err
    for name, (_, why) in broken_files().items():
        assert f"left out reviews/{name}: {why}" in said.err
    assert pq.read_table(tmp_path / "run" / "data").num_rows == 60


def test_where_no_source_is_left_each_is_named_in_the_sentence(upcycle: Command, tmp_path: Path):
    write(tmp_path / "broken" / "empty.jsonl", b"")
    write(tmp_path / "broken" / "binary.csv", bytes(range(256)))
    said = upcycle(*with_other(BUILD, source="broken"))
    assert said.code == 2
    assert "broken/binary.csv: it is a binary file, not text; broken/empty.jsonl: it is empty" in said.sentence


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("away", "there is no source 'away'; give a folder or a file that exists"),
        ("nothing", "no source can be read: nothing: no data file was found in it"),
        ("notes.docx", "no source can be read: notes.docx: it is not a kind of file that can be read"),
        ("python:no_such_package_anywhere", "no_such_package_anywhere"),
    ],
)
def test_a_source_that_is_not_there_is_said_and_its_folder_stays_free(
    upcycle: Command, tmp_path: Path, source: str, sentence: str
):
    (tmp_path / "nothing").mkdir()
    write(tmp_path / "notes.docx", b"PK\x03\x04")
    said = upcycle(*with_other(BUILD, source=source))
    assert said.code == 2
    assert sentence in said.sentence
    assert upcycle(*BUILD).code == 0, "the same folder, with the source spelled right"


def test_damaged_rows_cost_only_themselves_and_the_first_is_shown(upcycle: Command, tmp_path: Path):
    huge = {"review": "word " * 200_000, "verdict": "positive"}
    odd = b'{"review": "torn\n' + b"\xff\xfe no text\n" + b"[1, 2]\n" + lines([huge]).encode()
    write(tmp_path / "reviews" / "reviews.jsonl", lines(reviews()[:30]).encode() + odd + lines(reviews()[30:]).encode())
    said = upcycle(*with_other(BUILD, n="61"))
    assert said.code == 0, said.err
    rows = pq.read_table(tmp_path / "run" / "data").to_pylist()
    assert max(len(row["input"]) for row in rows) > 900_000, "a record of 1 MB is a record"
    said = upcycle(*with_other(BUILD, n="99"))
    assert said.code == 1
    assert "cannot read default/train/30: it is not JSON" in said.err
    assert "used up: kept 61, skipped 0, failed 0, unreadable 3" in said.err
    assert "stopped  every source that fits is exhausted after 61 of 99 examples" in said.out


def test_a_parquet_file_that_is_corrupt_in_the_middle_gives_what_lies_before(upcycle: Command, tmp_path: Path):
    rows = [{**row, "review": f"{number} times {row['review']}"} for number in range(100) for row in reviews()]
    path = tmp_path / "reviews" / "reviews.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000, compression="snappy")
    (tmp_path / "reviews" / "reviews.jsonl").unlink()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = os.urandom(2000)
    path.write_bytes(content)
    said = upcycle(*with_other(BUILD, n="6000"))
    assert said.code == 1
    assert "cannot read reviews/reviews.parquet" in said.err
    assert "were not read" in said.err
    assert 1000 <= pq.read_table(tmp_path / "run" / "data").num_rows < 6000


# a run that is there


def test_a_run_made_with_other_settings_is_refused_with_what_changed(upcycle: Command, tmp_path: Path):
    assert upcycle(*BUILD).code == 0
    before = contents(tmp_path / "run")
    said = upcycle(*with_other(BUILD, seed="3", contract="max_chars=50"))
    assert said.code == 2
    assert "seed: 0 -> 3" in said.sentence
    assert "task.contract.max_chars: None -> 50" in said.sentence
    assert "nothing was overwritten" in said.sentence
    assert contents(tmp_path / "run") == before


def test_more_rows_a_budget_and_another_concurrency_continue_a_run(upcycle: Command, tmp_path: Path):
    assert upcycle(*BUILD).code == 0
    first = {row["id"] for row in pq.read_table(tmp_path / "run" / "data").to_pylist()}
    said = upcycle(*with_other(BUILD, n="20", budget="5usd,1000calls", concurrency="3"))
    assert said.code == 0, said.err
    ids = [row["id"] for row in pq.read_table(tmp_path / "run" / "data").to_pylist()]
    assert len(ids) == len(set(ids)) == 20
    assert first < set(ids)


def test_a_source_that_changed_since_is_refused(upcycle: Command, tmp_path: Path):
    assert upcycle(*BUILD).code == 0
    before = contents(tmp_path / "run")
    write(tmp_path / "reviews" / "reviews.jsonl", lines(reviews()[:50]))
    said = upcycle(*with_other(BUILD, n="20"))
    assert said.code == 2
    assert "the source 'reviews' changed since run was begun" in said.sentence
    after = contents(tmp_path / "run")
    assert {name: after[name] for name in before if name != "config.yaml"} == {
        name: content for name, content in before.items() if name != "config.yaml"
    }


def test_a_row_that_is_not_there_is_said(upcycle: Command, tmp_path: Path):
    assert upcycle(*BUILD).code == 0
    assert (
        "run has no row 'zzzz'; ids stand in data/, provenance/ and dropped/" in upcycle("why", "run", "zzzz").sentence
    )
    assert "give more of it" in upcycle("why", "run", "").sentence
    assert "rows of kind 'sad' do not fail" in upcycle("retry", "run", "--kind", "sad").sentence
    assert (tmp_path / "run" / "data").is_dir()


# plans


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("source: other\ninput: '{review}'\noutput: '{verdict}'\n", "is a plan for 'other', which is not among"),
        ("source: reviews\ninput: '{revue}'\noutput: '{verdict}'\n", "reads 'revue', which is no column of it"),
        ("source: reviews\nsteps:\n- do: fly\ninput: '{review}'\noutput: '{verdict}'\n", "'fly'"),
        ("source: reviews\ninput: '{review}'\n", "output"),
        ("source: reviews\nimport: '{review}'\ninput: a\noutput: b\n", "import"),
        ("[", "plan.yaml"),
        (
            "source: reviews\nsteps: [{do: llm, into: x, fields: [review], ask: Say it.}]\ninput: a\noutput: '{x}'\n",
            "plan.yaml asks a model for some fields; give --model",
        ),
    ],
)
def test_a_plan_that_cannot_be_followed_is_one_sentence(upcycle: Command, tmp_path: Path, text: str, sentence: str):
    write(tmp_path / "plan.yaml", text)
    said = upcycle(*with_other(BUILD, plan="plan.yaml"))
    assert said.code == 2
    assert sentence in said.sentence
    assert upcycle(*BUILD).code == 0, "the folder stays free"


def test_a_plan_file_that_is_not_there_or_a_folder_is_said(upcycle: Command):
    assert "the plan away.yaml cannot be read" in upcycle(*with_other(BUILD, plan="away.yaml")).sentence
    assert "the plan reviews cannot be read" in upcycle(*with_other(BUILD, plan="reviews")).sentence


# models, keys and money


def test_a_wrong_key_and_an_unknown_model_are_told_in_the_servers_words(
    upcycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with FakeServer(key="sk-right-0123456789") as server:
        asked = with_other(BUILD, model="openai/fake", base_url=server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-9876543210")
        said = upcycle(*asked)
        assert said.code == 2
        assert "refused the key (HTTP 401): Incorrect API key provided" in said.sentence
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right-0123456789")
        said = upcycle(*with_other(asked, model="openai/fale"))
        assert said.code == 2
        assert "The model `fale` does not exist" in said.sentence
        assert server.stats()["paid"] == 0
        assert upcycle(*asked).code == 0, "the same folder, with the right key and name"
    everything = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"sk-right" not in everything
    assert b"sk-wrong" not in everything


def test_credentials_in_an_address_are_written_into_no_file(upcycle: Command, tmp_path: Path):
    with FakeServer() as server:
        url = server.url.replace("http://", "http://me:pa55word@")
        said = upcycle(*with_other(BUILD, model="openai/fake", base_url=url))
    assert said.code == 0, said.err
    everything = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"pa55word" not in everything + said.out.encode() + said.err.encode()


def test_a_server_that_does_not_answer_is_said_and_the_folder_stays_free(upcycle: Command):
    with FakeServer() as server:
        away = server.url
    said = upcycle(*with_other(BUILD, model="openai/fake", base_url=away))
    assert said.code == 2
    assert "cannot be reached" in said.sentence
    assert "start the server, or give another --base-url or --model" in said.sentence
    assert upcycle(*BUILD).code == 0


@pytest.mark.parametrize("verb", ["build", "plan"])
@pytest.mark.parametrize(
    ("name", "model"), [("OPENAI_API_KEY", "openai/gpt-4.1-mini"), ("ANTHROPIC_API_KEY", "anthropic/claude-haiku-4-5")]
)
def test_a_paid_model_found_only_by_a_key_asks_first(
    upcycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, name: str, model: str
):
    monkeypatch.setenv(name, "sk-secret-0123456789")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    said = upcycle(verb, TASK, "-e", "demos.jsonl", "--source", "reviews", "-n", "5", "-o", "run", "--budget", "2usd")
    assert said.code == 2
    assert f"{model} would be used because {name} is set in the environment" in said.sentence
    assert "5 examples cost up to about $0.01" in said.sentence
    assert "budget: $2. Give --yes to agree" in said.sentence
    assert "sk-secret" not in said.out + said.err
    assert not (tmp_path / "run").exists()


def test_no_price_under_a_money_budget_says_what_to_write_where(
    upcycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    asked = with_other(BUILD, model="openai/nobody-lists-this", budget="1usd")
    said = upcycle(*asked)
    assert said.code == 2
    assert "the price of openai/nobody-lists-this is not known" in said.sentence
    assert str(tmp_path / "cache" / "prices.yaml") in said.sentence
    said = upcycle(*with_other(asked, prices="away.yaml"))
    assert said.code == 2
    assert "price file away.yaml cannot be read" in said.sentence


def test_a_budget_too_small_for_the_first_call_keeps_what_is_free_and_says_what_to_do(upcycle: Command):
    with FakeServer() as server:
        said = upcycle(*with_other(BUILD, model="openai/fake", base_url=server.url, budget="10tok"))
        assert said.code == 1
        assert "the budget of 10 tokens does not cover the next call" in said.out
        assert "run again with a larger --budget to go on" in said.out
        assert server.stats()["requests"] == 0
        again = upcycle(*with_other(BUILD, model="openai/fake", base_url=server.url, budget="100ktok"))
    assert again.code == 0, again.err
