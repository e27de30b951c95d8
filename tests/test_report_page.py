"""`report.html` holds what the run holds, runs nothing but itself, and says what it leaves out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import re
import subprocess
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

import upcycle
from upcycle.errors import ConfigError, SourceError
from upcycle.records import Example, Origin
from upcycle.report import likeness, measured
from upcycle.report import page as page_module
from upcycle.report.gathered import fold
from upcycle.report.page import make_report
from upcycle.run import Run
from upcycle.testing import FakeServer
from whole_runs import UPCYCLE

PLAN = """\
source: rows
steps:
- do: filter
  field: text
  min_chars: 8
input: "{text}"
output: "{label}"
"""
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)> & \u202e مرحبا 😀"


def data(path: Path) -> dict[str, Any]:
    """The blocks of a page, unpacked."""
    found = re.findall(r'<script type="text/plain" id="data-([^"]+)">([^<]*)</script>', path.read_text("utf-8"))
    return {name: json.loads(zlib.decompress(base64.b64decode(text))) for name, text in found}


def rows_of(blocks: dict[str, Any], name: str) -> list[dict[str, Any]]:
    numbers = sorted(int(key.rpartition(".")[2]) for key in blocks if re.fullmatch(rf"{re.escape(name)}\.\d+", key))
    return [row for number in numbers for row in blocks[f"{name}.{number}"]]


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    (folder / "plan.yaml").write_text(PLAN)


def some_rows() -> list[dict[str, Any]]:
    rows = [
        {"text": f"Note number {n}: the sum is {n * n}.", "label": "even" if n % 2 == 0 else "odd"} for n in range(40)
    ]
    return [*rows, {"text": "short", "label": "odd"}, dict(rows[3]), {"text": HOSTILE, "label": "even"}]


async def build(folder: Path, **more: Any) -> upcycle.Report:
    settings: dict[str, Any] = {
        "sources": (str(folder / "rows.jsonl"),),
        "methods": {"datatune": {"plan": str(folder / "plan.yaml"), "min_yield": 0}},
        "model": "none",
        "rows": 100,
        "out": folder / "run",
    }
    return await upcycle.build("Say whether the number is even.", **{**settings, **more})


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path, some_rows())
    await build(tmp_path)
    return tmp_path


# -- what it holds -------------------------------------------------------------------------------------------------


def test_a_build_ends_with_its_page_and_every_row_is_on_it_beside_its_record(folder: Path):
    blocks = data(folder / "run/report.html")
    kept = rows_of(blocks, "d0.kept")
    assert len(kept) == 41
    assert {row["input"] for row in kept} == {row["text"] for row in some_rows()} - {"short"}
    for row in kept:
        assert row["fields"] == {"text": row["input"], "label": row["output"]}
        assert row["origin"]["source"] == "rows"
        assert "changed" not in row


def test_the_funnel_counts_every_record_that_was_tried(folder: Path):
    one = data(folder / "run/report.html")["facts"]["datasets"][0]
    assert one["kept"] + sum(drop["count"] for drop in one["drops"]) == len(some_rows())
    assert {drop["kind"]: drop["count"] for drop in one["drops"]} == {"skipped": 1, "duplicate": 1}
    assert one["wanted"] == 100
    assert "exhausted after 41 of 100" in one["stopped"]


def test_a_dropped_row_has_its_reason_and_the_kept_row_it_repeats(folder: Path):
    blocks = data(folder / "run/report.html")
    dropped, kept = rows_of(blocks, "d0.dropped"), rows_of(blocks, "d0.kept")
    index = blocks["d0.dropped.index"]
    by_kind = {row["kind"]: number for number, row in enumerate(dropped)}
    copy = by_kind["duplicate"]
    assert kept[index["other"][copy]]["input"] == dropped[copy]["input"]
    assert dropped[by_kind["skipped"]]["fields"]["text"] == "short"
    assert "input" not in dropped[by_kind["skipped"]]
    names = index["facets"]["reason"]["names"]
    assert names[index["facets"]["reason"]["of"][copy]] == fold(dropped[copy]["reason"])


def test_the_plan_its_program_and_its_text_are_on_the_page(folder: Path):
    plan = data(folder / "run/report.html")["facts"]["datasets"][0]["plans"][0]
    assert plan["source"] == "rows"
    assert plan["yaml"] == (folder / "run/plans/rows.yaml").read_text()
    assert "def row(r)" in plan["py"]
    assert plan["md"].startswith("# How")


def test_report_adds_what_a_build_leaves_out(folder: Path):
    assert data(folder / "run/report.html")["facts"]["measured"] is False
    page = make_report(folder / "run")
    assert page.path == folder / "run/report.html"
    blocks = data(page.path)
    curve = blocks["facts"]["datasets"][0]["uniqueness"]["curve"]
    assert len(curve) == 101
    assert curve == sorted(curve)
    nearest = blocks["d0.kept.index"]["nearest"]
    assert all(other != number for number, other in enumerate(nearest))
    assert len(blocks["map"]["x"]) == 41
    assert all(0 <= value <= 1 for value in blocks["map"]["x"] + blocks["map"]["y"])


async def test_costs_are_told_by_stage_and_by_source_and_add_up(tmp_path: Path):
    write_rows(tmp_path, some_rows()[:12])
    (tmp_path / "plan.yaml").write_text(
        'source: rows\nsteps:\n- {do: llm, into: title, fields: [text], ask: A title.}\ninput: "{text}"\n'
        'output: "{title}"\n'
    )
    (tmp_path / "prices.yaml").write_text("openai/fake: {input: 2.0, output: 8.0}\n")
    with FakeServer() as server:
        model = {"planner": "none", "judge": "none", "executor": "openai/fake", "base_url": server.url}
        report = await build(tmp_path, model=model, rows=12, prices=str(tmp_path / "prices.yaml"))
    one = data(tmp_path / "run/report.html")["facts"]["datasets"][0]
    assert report.kept == 12
    total = sum(line["spent_micro"] for line in one["ledger"])
    assert total == round(report.cost_usd * 1e6) > 0
    assert 0 < sum(line["micro"] for line in one["by_source"]) <= total
    assert sum(line["rows"] for line in one["by_source"] if line["state"] == "kept") == 12


async def test_a_run_stopped_by_its_budget_says_so(tmp_path: Path):
    write_rows(tmp_path, some_rows()[:12])
    (tmp_path / "plan.yaml").write_text(
        'source: rows\nsteps:\n- {do: llm, into: title, fields: [text], ask: A title.}\ninput: "{text}"\n'
        'output: "{title}"\n'
    )
    with FakeServer() as server:
        model = {"planner": "none", "judge": "none", "executor": "openai/fake", "base_url": server.url}
        one_a_call = {"datatune": {"plan": str(tmp_path / "plan.yaml"), "min_yield": 0, "batch": 1}}
        report = await build(tmp_path, model=model, rows=12, budget="2calls", methods=one_a_call)
    one = data(tmp_path / "run/report.html")["facts"]["datasets"][0]
    assert report.kept < 12
    assert one["stopped"] == report.stopped
    assert data(make_report(tmp_path / "run").path)["facts"]["datasets"][0]["stopped"] == report.stopped


def test_a_run_that_was_cut_off_says_what_its_journal_holds(tmp_path: Path):
    with Run.open(tmp_path / "cut", {}) as run:
        run.journal.row("transform", "a", state="kept", kind="ok", value=example("What?", "That."))
    one = data(make_report(tmp_path / "cut").path)["facts"]["datasets"][0]
    assert (one["ended"], one["states"], one["kept"]) == (False, {"kept": 1}, 0)


# -- what is not there ---------------------------------------------------------------------------------------------


def test_a_source_that_disappeared_is_named_and_its_rows_stay(folder: Path):
    (folder / "rows.jsonl").unlink()
    page = make_report(folder / "run")
    assert "there is no source" in page.datasets[0]["missing"]["rows"]
    rows = rows_of(data(page.path), "d0.kept")
    assert len(rows) == 41
    assert not any("fields" in row for row in rows)
    assert "there is no source" in repr(page)


def test_a_record_that_is_another_one_by_now_is_marked(folder: Path):
    rows = some_rows()
    rows[0]["text"] = "Note number 0, rewritten afterwards."
    write_rows(folder, rows)
    found = {row["input"]: row for row in rows_of(data(make_report(folder / "run").path), "d0.kept")}
    assert found["Note number 0: the sum is 0."]["changed"] is True
    assert "changed" not in found["Note number 1: the sum is 1."]


async def test_a_source_named_from_another_folder_is_found_above_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_rows(tmp_path, some_rows()[:5])
    monkeypatch.chdir(tmp_path)
    await build(tmp_path, sources=("rows.jsonl",), out=Path("runs/x"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    page = make_report(tmp_path / "runs/x")
    assert not page.datasets[0]["missing"]
    assert all("fields" in row for row in rows_of(data(page.path), "d0.kept"))


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_runs_of_hardly_any_row_have_their_page(tmp_path: Path, count: int):
    write_rows(tmp_path, [*some_rows()[:count], {"text": "short", "label": "odd"}])
    await build(tmp_path)
    page = make_report(tmp_path / "run")
    facts = data(page.path)["facts"]
    assert page.datasets[0]["shown"] == count
    assert facts["mapped"] is False
    assert (facts["datasets"][0]["uniqueness"] is None) == (count < 2)


def test_more_rows_than_the_page_may_hold_are_sampled_and_it_says_so(folder: Path):
    page = make_report(folder / "run", rows=10)
    assert "10 of 41 examples" in repr(page)
    one = data(page.path)["facts"]["datasets"][0]
    assert (one["kept"], one["rows"]["kept"]["count"]) == (41, 10)


def test_a_giant_field_is_cut_and_the_page_says_by_how_much(tmp_path: Path):
    (tmp_path / "giant.jsonl").write_text(json.dumps({"input": "a" * 50_000, "output": "b"}) + "\n")
    row = rows_of(data(make_report(tmp_path / "giant.jsonl", out=tmp_path / "x.html").path), "d0.kept")[0]
    assert row["input"].endswith("[30,000 more characters]")


def test_any_dataset_has_a_page_and_rows_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    lines = [{"question": "Is it?", "answer": "yes"}, {"question": "Was it?", "answer": None}]
    Path("qa.jsonl").write_text("\n".join(map(json.dumps, lines)))
    page = make_report("qa.jsonl")
    assert page.path == Path("qa-report.html")
    one = data(page.path)["facts"]["datasets"][0]
    assert (one["kind"], one["kept"], one["skipped"]["count"]) == ("dataset", 1, 1)


def test_gold_is_shown_beside_what_came_too_close_and_only_where_it_is_given(tmp_path: Path):
    question = "How many sides has the figure that is drawn on the third page of the book?"
    (tmp_path / "gold.jsonl").write_text(json.dumps({"input": question, "output": "five"}) + "\n")
    made = [{"input": question, "output": "5"}, {"input": "What is the tallest tree of the park?", "output": "an oak"}]
    (tmp_path / "made.jsonl").write_text("\n".join(map(json.dumps, made)))
    asked = [UPCYCLE, "curate", "made.jsonl", "--gold", "gold.jsonl", "-o", "curated"]
    subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    one = data(make_report(tmp_path / "curated").path)["facts"]["datasets"][0]
    assert (one["kind"], one["kept"], one["named"]) == ("curated", 1, {})
    assert [drop["kind"] for drop in one["drops"]] == ["contaminated"]
    assert "contamination" in {check["check"] for check in one["curation"]["checks"]}
    page = make_report(tmp_path / "curated", gold=tmp_path / "gold.jsonl")
    one = data(page.path)["facts"]["datasets"][0]
    assert one["named"] == {"gold 1": {"input": question, "output": "five"}}


async def test_several_lie_side_by_side_with_the_same_bins_and_their_own_names(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = tmp_path / "other"
    other.mkdir()
    write_rows(other, some_rows()[:10])
    await build(other)
    monkeypatch.chdir(tmp_path)
    page = make_report(folder / "run", other / "run")
    assert page.path == Path("comparison.html")
    facts = data(page.path)["facts"]
    assert [one["name"] for one in facts["datasets"]] == [f"{folder.name}/run", "other/run"]
    counts = facts["lengths"]["input"]["counts"]
    assert [sum(one) for one in counts] == [41, 10]
    assert len(counts[0]) == len(counts[1]) == len(facts["lengths"]["input"]["edges"])
    assert set(facts["difficulty"]) == {one["name"] for one in facts["datasets"]}


def test_a_difficulty_that_was_measured_is_shown_and_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        rows = [{"input": f"Is {name} {n} even?", "output": "yes" if n % 2 else "no"} for n in range(20)]
        Path(f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    rated = {"by": "openai/rater, by a rubric", "shares": [0.1, 0.2, 0.3, 0.2, 0.2], "mean": 3.2, "rated": 20}
    told = {"gold": None, "sets": [{"name": name, "difficulty": rated} for name in ("one", "two")]}
    Path("facts.json").write_text(json.dumps(told), encoding="utf-8")
    facts = data(make_report("one.jsonl", "two.jsonl", described="facts.json").path)["facts"]
    assert {name: one["by"] for name, one in facts["difficulty"].items()} == dict.fromkeys(("one", "two"), rated["by"])
    alone = data(make_report("one.jsonl", described="facts.json", out="one.html").path)["facts"]
    assert alone["difficulty"]["one"]["mean"] == 3.2  # levels by a rubric have a scale of their own
    measured = asyncio.run(upcycle.describe("one.jsonl", "two.jsonl")).facts()
    Path("words.json").write_text(json.dumps(measured), encoding="utf-8")
    assert data(make_report("one.jsonl", "two.jsonl", described="words.json").path)["facts"]["difficulty"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "facts.json cannot be read"),
        ("", "is not what `upcycle describe --json` printed"),
        ("[]", "is not what `upcycle describe --json` printed"),
        ('{"sets": [{"name": "x", "difficulty": {"shares": 3}}]}', "is not what"),
        ('{"sets": [{"name": "other", "difficulty": null}]}', "no difficulty of one; it tells that of nothing"),
    ],
)
def test_what_describe_did_not_print_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
):
    monkeypatch.chdir(tmp_path)
    Path("one.jsonl").write_text('{"input": "Is it?", "output": "yes"}\n', encoding="utf-8")
    if text is not None:
        Path("facts.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(said)):
        make_report("one.jsonl", described="facts.json")


# -- what it runs --------------------------------------------------------------------------------------------------


def test_texts_of_rows_never_stand_in_the_page_as_they_are(folder: Path):
    text = (folder / "run/report.html").read_text("utf-8")
    assert "document.title=" not in text
    assert "مرحبا" not in text
    assert HOSTILE in {row["input"] for row in rows_of(data(folder / "run/report.html"), "d0.kept")}


def test_its_policy_allows_its_own_script_and_style_and_nothing_else(folder: Path):
    text = (folder / "run/report.html").read_text("utf-8")
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none'")
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}';" in policy
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text), "nothing is fetched"


def test_every_module_of_the_page_is_in_it_and_no_name_is_given_twice():
    folder = Path(page_module.__file__).parent / "html"
    assert {path.name for path in folder.glob("*.js")} == set(page_module._SCRIPTS)
    names: list[str] = []
    for path in sorted(folder.glob("*.js")):
        text = path.read_text("utf-8")
        names += re.findall(r"^(?:export )?(?:async )?(?:function|const|class) (\w+)", text, re.MULTILINE)
        for wanted, where in re.findall(r'^import \{ ([^}]+) \} from "\./([\w.]+)";$', text, re.MULTILINE):
            given = (folder / where).read_text("utf-8")
            for name in wanted.split(", "):
                assert re.search(rf"^export (?:async )?(?:function|const|class) {name}\b", given, re.MULTILINE), name
    assert len(names) == len(set(names)), "all modules share one scope"


@pytest.mark.slow
def test_three_thousand_long_examples_with_their_records_stay_under_five_megabytes(tmp_path: Path):
    random = Random(0)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(5000)]
    rows = [
        {"input": " ".join(random.choices(words, k=150))[:1000], "output": random.choice(words)} for _ in range(3000)
    ]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page = make_report(tmp_path / "long.jsonl", out=tmp_path / "long.html")
    assert page.bytes < 5_000_000
    assert page.datasets[0]["shown"] == 3000


# -- careless use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no dataset 'nowhere'"),
        (["empty.jsonl"], "it is empty"),
        (["qa.jsonl", "-o", "page.txt"], "not an HTML file"),
        (["qa.jsonl", "-o", "qa.jsonl/x.html"], "cannot be made a folder"),
        (["qa.jsonl", "-n", "0"], "give at least 1"),
        (["broken"], "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path: Path, arguments: list[str], said: str):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "qa.jsonl").write_text('{"question": "Is it?", "answer": "yes"}\n')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.db").write_text("no database")
    done = subprocess.run([UPCYCLE, "report", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("upcycle: ")
    assert said in last
    assert "Traceback" not in done.stderr


def test_json_gives_the_path_and_what_is_on_the_page(tmp_path: Path):
    (tmp_path / "qa.jsonl").write_text('{"question": "Is it?", "answer": "yes"}\n')
    done = subprocess.run(
        [UPCYCLE, "report", "qa.jsonl", "--json"], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True
    )
    told = json.loads(done.stdout)
    assert told["path"] == "qa-report.html"
    assert told["bytes"] == (tmp_path / "qa-report.html").stat().st_size
    assert told["datasets"][0]["shown"] == 1


def test_no_run_at_all_is_a_config_error():
    with pytest.raises(ConfigError, match="no run was named"):
        make_report()


def test_a_folder_of_nothing_is_a_source_error(tmp_path: Path):
    with pytest.raises(SourceError, match="no data file"):
        make_report(tmp_path)


# -- what it measures ----------------------------------------------------------------------------------------------


def example(text: str, output: str, choices: tuple[str, ...] | None = None, source: str = "s") -> Example:
    return Example(f"{text}-{output}", text, output, Origin("existing", source), choices=choices)


@pytest.mark.parametrize(
    ("reason", "folded"),
    [
        ("filter: 'cause' holds 'He'", "filter: 'cause' holds …"),
        (
            "clause: 'Leaves fell.' opens with a word that may be a name",
            "clause: … opens with a word that may be a name",
        ),
        ("shares 63% of its word 13-grams with gold item 7", "shares …% of its word …-grams with gold item …"),
        ("template: field 'x' is empty", "template: field 'x' is empty"),
        ("it doesn't fit, so it isn't kept", "it doesn't fit, so it isn't kept"),
        ("", ""),
    ],
)
def test_reasons_are_folded_to_what_they_share(reason: str, folded: str):
    assert fold(reason) == folded


def test_lengths_are_binned_alike_and_the_longest_stand_together():
    found = measured.lengths([[example("x" * n, "y") for n in range(1, 101)], [example("x" * 5000, "yy")]])["input"]
    assert [sum(counts) for counts in found["counts"]] == [100, 1]
    assert found["counts"][1][-1] == 1
    assert found["median"] == [51, 5000]
    assert found["longest"] == [100, 5000]


def test_outputs_are_labels_only_where_they_repeat():
    repeated = [example(str(n), "yes" if n % 3 else "no") for n in range(12)]
    assert measured.labels(repeated) == [("yes", 8), ("no", 4)]
    assert measured.labels([example(str(n), f"answer {n}") for n in range(12)]) is None
    assert measured.labels([]) is None


def test_option_positions_stand_beside_what_chance_would_give():
    examples = [example("q", "b", ("a", "b")), example("q", "c", ("a", "b", "c")), example("q", "z", ("a", "b"))]
    assert measured.positions(examples) == {"counts": [0, 1, 1], "chance": [0.83, 0.83, 0.33], "absent": 1}
    assert measured.positions([example("q", "b")]) is None


def test_the_nearest_other_of_a_text_is_the_one_it_shares_most_with():
    found = likeness.uniqueness(["the cat sat on the mat", "the cat sat on a mat", "stocks fell on Monday"])
    assert found is not None
    assert found.nearest[:2] == [1, 0]
    assert found.scores[0] == round(2 * 5 / 12, 4)
    assert found.curve[0] == 0.0
    assert found.curve[100] == 1.0


def test_where_options_are_all_that_differs_whole_inputs_are_compared():
    same = [example(f"Which?\nchoice: {n}\nchoice: {n + 1}", str(n)) for n in range(6)]
    texts, rule = likeness.compared_texts([same])
    assert texts[0][0] == same[0].input
    assert rule == "Whole inputs are compared."
    texts, rule = likeness.compared_texts(
        [[example(f"Is {n} even?\nchoice: yes\nchoice: no", "yes") for n in range(6)]]
    )
    assert texts[0][0] == "Is 0 even?"


def test_the_map_is_coloured_by_source_and_by_dataset():
    one = [example(f"a note about cats {n}", "x", source="a" if n % 2 else "b") for n in range(8)]
    found = likeness.placed({"one": [e.input for e in one]}, [one])
    assert found is not None
    assert sorted(found["groups"]) == ["a", "b"]
    two = likeness.placed({"one": [e.input for e in one], "two": ["dogs bark", "dogs run"]}, [one, one[:2]])
    assert two is not None
    assert (two["groups"], two["dataset"]) == (["one", "two"], [0] * 8 + [1] * 2)
