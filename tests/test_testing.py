"""The test kit keeps its promises, since everything else is tested with it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import aiohttp
import orjson
import pytest

from upcycle.llm.faults import AttemptError
from upcycle.llm.model import Request
from upcycle.llm.schemas import problem
from upcycle.testing import FakeServer, FlakyModel, ScriptedModel, satisfy

SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["yes", "no"]},
        "text": {"type": "string", "minLength": 3, "maxLength": 9},
        "count": {"type": "integer", "minimum": 4, "maximum": 7},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "inner": {"$ref": "#/$defs/inner"},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    },
    "required": ["label", "text", "count", "tags", "inner", "either"],
    "$defs": {"inner": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
}


def request(text: str = "hello") -> Request:
    return Request(({"role": "user", "content": text},), "test")


@pytest.mark.parametrize("text", ["", "a", "a long prompt with many words in it " * 9])
def test_a_made_up_value_satisfies_the_schema(text: str) -> None:
    assert problem(satisfy(SCHEMA, text), SCHEMA) is None


def test_a_made_up_value_is_the_same_for_the_same_text() -> None:
    assert satisfy(SCHEMA, "one") == satisfy(SCHEMA, "one")


async def test_a_script_can_be_a_list_a_dict_or_a_function() -> None:
    listed = ScriptedModel(["first", {"value": 2}])
    assert (await listed.complete(request())).text == "first"
    assert (await listed.complete(request())).text == '{"value":2}'
    with pytest.raises(LookupError, match="one more"):
        await listed.complete(request())
    keyed = ScriptedModel({"cat": "meow", "dog": "woof"})
    assert (await keyed.complete(request("a dog"))).text == "woof"
    with pytest.raises(LookupError, match="knows no prompt"):
        await keyed.complete(request("a cow"))
    spoken = ScriptedModel(lambda asked: asked.messages[0]["content"].upper())
    assert (await spoken.complete(request("loud"))).text == "LOUD"
    assert [r.messages[0]["content"] for r in spoken.requests] == ["loud"]


async def test_a_flaky_model_fails_at_its_shares_and_the_same_way_each_time() -> None:
    async def outcomes() -> list[str]:
        model = FlakyModel(ScriptedModel(lambda _: "x" * 10), rate_limited=0.2, failing=0.2, invalid=0.2, seed=3)
        found = []
        for _ in range(300):
            try:
                found.append(str(len((await model.complete(request())).text)))
            except AttemptError as error:
                found.append("limited" if error.overloaded else "failed")
        return found

    first = await outcomes()
    assert first == await outcomes()
    for outcome in ("limited", "failed", "5"):
        assert 30 < first.count(outcome) < 90


async def test_the_server_counts_each_prompt_that_was_paid_twice() -> None:
    async with FakeServer() as server, aiohttp.ClientSession() as session:
        for text in ("a", "b", "a"):
            body = {"model": "fake", "messages": [{"role": "user", "content": text}]}
            async with session.post(f"{server.url}/chat/completions", json=body) as response:
                reply = await response.json()
                assert reply["choices"][0]["message"]["content"] == f"echo: {text}"
        async with session.get(f"{server.url.removesuffix('/v1')}/stats") as response:
            stats = await response.json()
    assert (stats["paid"], stats["paid_twice"], stats["distinct"], stats["in_flight"]) == (3, 1, 2, 0)
    assert stats["tokens"] == reply["usage"]["total_tokens"] * 3


async def test_the_server_speaks_the_anthropic_wire() -> None:
    async with FakeServer() as server, aiohttp.ClientSession() as session:
        tool = {"name": "reply", "input_schema": SCHEMA}
        body = {"model": "fake", "max_tokens": 99, "messages": [{"role": "user", "content": "x"}], "tools": [tool]}
        async with session.post(f"{server.url}/messages", json=body) as response:
            reply = await response.json()
    assert reply["stop_reason"] == "end_turn"
    assert problem(reply["content"][0]["input"], SCHEMA) is None


async def test_a_torn_body_breaks_off_and_is_still_paid() -> None:
    async with FakeServer(torn=1.0) as server, aiohttp.ClientSession() as session:
        body = {"model": "fake", "messages": [{"role": "user", "content": "x"}]}
        async with session.post(f"{server.url}/chat/completions", json=body) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert server.stats()["paid"] == 1


async def test_a_refused_request_is_not_paid_and_says_when_to_come_back() -> None:
    async with FakeServer(rate_limited=1.0, retry_after=2.5) as server, aiohttp.ClientSession() as session:
        body = {"model": "fake", "messages": [{"role": "user", "content": "x"}]}
        async with session.post(f"{server.url}/chat/completions", json=body) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "2.5")
        assert server.stats()["paid"] == 0


def test_the_server_also_runs_in_a_thread() -> None:
    with FakeServer(models=("a", "b")) as server, urllib.request.urlopen(f"{server.url}/models") as response:
        assert [model["id"] for model in json.load(response)["data"]] == ["a", "b"]


def test_the_server_runs_as_a_process_whose_first_line_is_its_address() -> None:
    command = [sys.executable, "-m", "upcycle.testing", "serve", "--failing", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        body = orjson.dumps({"model": "fake", "messages": [{"role": "user", "content": "x"}]})
        asked = urllib.request.Request(f"{url}/chat/completions", body)
        with pytest.raises(urllib.error.HTTPError, match="500") as caught:
            urllib.request.urlopen(asked)
        caught.value.close()
        process.terminate()
        assert process.wait() == 0
