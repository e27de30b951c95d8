"""The model in this process. What it says is never tested, only that it says it in the asked form."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from upcycle.errors import ConfigError, RowError, RowKind
from upcycle.llm import weights
from upcycle.llm.embedded import EmbeddedModel, runtime_installed
from upcycle.llm.model import Request, Scoring
from upcycle.llm.schemas import problem
from whole_runs import UPCYCLE

# Looked up at collection: later fixtures may point the cache elsewhere.
SMOLLM2 = weights.path("smollm2")

here = pytest.mark.skipif(
    not (runtime_installed() and SMOLLM2.is_file()),
    reason="needs xllamacpp and the weights: upcycle models fetch smollm2",
)
ROOMS = ("kitchen", "bathroom")
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["yes", "no"]}}, "required": ["label"]}


def request(text: str, **given: object) -> Request:
    return Request(({"role": "user", "content": text},), "test", **given)  # type: ignore[arg-type]


@pytest.fixture
async def model() -> AsyncIterator[EmbeddedModel]:
    model = EmbeddedModel(SMOLLM2, "embedded/smollm2", context=1024)
    yield model
    await model.close()


@here
@pytest.mark.embedded
async def test_a_reply_is_held_to_the_schema_and_the_loop_goes_on_meanwhile(model: EmbeddedModel) -> None:
    answering = asyncio.ensure_future(model.complete(request("Is water wet?", schema=SCHEMA, max_tokens=40)))
    turns = 0
    while not answering.done():
        turns += 1
        await asyncio.sleep(0.001)
    completion = await answering
    assert turns > 5
    assert problem(orjson.loads(completion.text), SCHEMA) is None
    assert completion.usage.prompt > 0
    assert completion.finish == "stop"


@here
@pytest.mark.embedded
async def test_continuations_are_scored_by_their_likelihood(model: EmbeddedModel) -> None:
    assert isinstance(model, Scoring)
    likely, unlikely, longer = await model.score(
        "The capital of France is", [" Paris", " xylophone", " Paris, of course"]
    )
    assert 0 > likely > unlikely
    assert longer < likely


@here
@pytest.mark.embedded
async def test_a_prompt_that_is_too_long_costs_its_row_and_no_more(model: EmbeddedModel) -> None:
    with pytest.raises(RowError, match="exceeds the available context") as caught:
        await model.complete(request("word " * 3000))
    assert caught.value.kind == RowKind.API_FATAL
    assert (await model.complete(request("Hi", max_tokens=3))).finish == "length"


@here
@pytest.mark.embedded
def test_the_embedded_model_can_be_served_over_http(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from upcycle.llm.openai import OpenAIModel
from upcycle.llm.model import Request
async def main():
    model = OpenAIModel("smollm2", base_url=sys.argv[1])
    schema = {"type": "object", "properties": {"label": {"enum": ["yes", "no"]}}, "required": ["label"]}
    request = Request(({"role": "user", "content": "Is water wet?"},), "test", max_tokens=40, schema=schema)
    print((await model.complete(request)).text)
    await model.close()
asyncio.run(main())
"""
    environ = {**os.environ, "UPCYCLE_CACHE": str(SMOLLM2.parents[2])}
    command = [sys.executable, "-m", "upcycle.testing", "serve", "--model", "embedded/smollm2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        said = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True).stdout
        server.terminate()
        assert server.wait() == 0
    assert orjson.loads(said)["label"] in {"yes", "no"}


@pytest.mark.skipif(not runtime_installed(), reason="needs xllamacpp")
@pytest.mark.embedded
async def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"not a model")
    model = EmbeddedModel(file, "embedded/broken")
    with pytest.raises(ConfigError, match=r"broken\.gguf cannot be loaded"):
        await model.complete(request("x"))
    await model.close()


def test_two_model_files_are_two_endpoints(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"one")
    (tmp_path / "b.gguf").write_bytes(b"two")
    a, b = (EmbeddedModel(tmp_path / name, "embedded/x").endpoint for name in ("a.gguf", "b.gguf"))
    assert a != b


@here
@pytest.mark.embedded
@pytest.mark.slow
def test_a_build_asks_the_model_in_this_process_but_a_few_times(tmp_path: Path) -> None:
    lines = [{"text": f"Note {n}: a {('pan', 'towel')[n % 2]} was left.", "room": ROOMS[n % 2]} for n in range(60)]
    (tmp_path / "notes.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    demos = [("The oven is hot.", "kitchen"), ("The shower drips.", "bathroom"), ("A pot boils over.", "kitchen")]
    given = b"\n".join(orjson.dumps({"input": text, "output": room}) for text, room in demos)
    (tmp_path / "demos.jsonl").write_bytes(given)
    out = tmp_path / "run"
    flags = ["-e", str(tmp_path / "demos.jsonl"), "--source", str(tmp_path / "notes.jsonl"), "-n", "5"]
    environ = {**os.environ, "UPCYCLE_CACHE": str(SMOLLM2.parents[2])}
    asked = [UPCYCLE, "plan", "In which room?", *flags, "--model", "embedded/smollm2"]
    subprocess.run([*asked, "-o", str(out)], capture_output=True, timeout=300, env=environ)
    with sqlite3.connect(out / "run.db") as journal:
        counts = dict(journal.execute("SELECT stage, count(*) FROM calls GROUP BY stage"))
    assert counts["rerank"] <= 2, "one vote, asked again once where it cannot be read"
    assert counts["expand"] == 1
    assert set(counts) == {"rerank", "expand"}, "no drafts where a plan was found"
