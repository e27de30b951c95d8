"""Both wires against a real server: what is sent, what comes back, what servers refuse and how it is sorted."""

from __future__ import annotations

import socket
from collections.abc import Callable

import orjson
import pytest

from upcycle.errors import ProviderError, RowError, RowKind, UpcycleError
from upcycle.llm.anthropic import AnthropicModel
from upcycle.llm.faults import AttemptError, refusal, retry_after, words
from upcycle.llm.model import Completion, Request, Usage
from upcycle.llm.openai import OpenAIModel
from upcycle.llm.schemas import problem, to_strict
from upcycle.llm.transport import bare_address, is_local
from upcycle.testing import FakeServer, RefusalError

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def request(text: str = "hello", **given: object) -> Request:
    return Request(({"role": "user", "content": text},), "test", **given)  # type: ignore[arg-type]


def openai(server: FakeServer, **given: str) -> OpenAIModel:
    return OpenAIModel("fake", base_url=server.url, **given)  # type: ignore[arg-type]


Maker = Callable[[FakeServer], OpenAIModel | AnthropicModel]
WIRES = [
    pytest.param(lambda server: OpenAIModel("fake", base_url=server.url), id="openai"),
    pytest.param(lambda server: AnthropicModel("fake", base_url=server.url), id="anthropic"),
]


@pytest.mark.parametrize("make", WIRES)
async def test_a_request_comes_back_with_text_finish_and_usage(make: Maker) -> None:
    said = Completion("done", Usage(11, 2), "length")
    async with FakeServer(lambda _: said) as server:
        model = make(server)
        system = {"role": "system", "content": "be brief"}
        asked = Request((system, *request().messages), "test", max_tokens=7, temperature=0.5, stop=("END",))
        assert await model.complete(asked) == said
        heard = server.requests[0]
        assert heard.messages == asked.messages
        assert (heard.max_tokens, heard.temperature, heard.stop) == (7, 0.5, ("END",))
        await model.close()


@pytest.mark.parametrize("make", WIRES)
async def test_a_schema_is_sent_and_the_reply_fits_it(make: Maker) -> None:
    async with FakeServer() as server:
        model = make(server)
        completion = await model.complete(request(schema=SCHEMA))
        assert problem(orjson.loads(completion.text), SCHEMA) is None
        assert server.requests[0].schema is not None
        await model.close()


@pytest.mark.parametrize("make", WIRES)
async def test_a_server_that_refuses_schemas_is_shown_them_in_words_and_asked_so_from_then_on(make: Maker) -> None:
    def script(asked: Request) -> str:
        if asked.schema is not None:
            raise RefusalError(400, "response_format / tools are not supported by this model")
        return '{"answer": "yes"}'

    async with FakeServer(script) as server:
        model = make(server)
        for _ in range(3):
            assert (await model.complete(request(schema=SCHEMA))).text == '{"answer": "yes"}'
        assert [asked.schema is None for asked in server.requests] == [False, True, True, True]
        assert "JSON Schema" in server.requests[-1].messages[-1]["content"]
        await model.close()


async def test_a_parameter_the_server_does_not_know_is_left_out_from_then_on() -> None:
    def script(asked: Request) -> str:
        if asked.sample:
            raise RefusalError(422, "Extra inputs are not permitted: seed")
        if asked.temperature != 1.0:
            raise RefusalError(400, "Unsupported value: 'temperature' does not support 0.0 with this model")
        return "fine"

    async with FakeServer(script) as server:
        model = openai(server)
        assert (await model.complete(request(sample=3))).text == "fine"
        assert (await model.complete(request(sample=4))).text == "fine"
        assert len(server.requests) == 4
        await model.close()


async def test_max_tokens_goes_by_its_newer_name_where_the_server_wants_that() -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    answers = iter([RefusalError(400, message), None])

    def script(asked: Request) -> str:
        if error := next(answers):
            raise error
        return str(asked.max_tokens)

    async with FakeServer(script) as server:
        model = openai(server)
        assert (await model.complete(request(max_tokens=77))).text == "77"
        await model.close()


@pytest.mark.parametrize("make", WIRES)
async def test_a_wrong_key_stops_the_run_in_the_servers_words_and_is_not_shown(make: Maker) -> None:
    async with FakeServer(key="right") as server:
        model = OpenAIModel("fake", base_url=server.url, key="sk-wrong-0123")
        with pytest.raises(ProviderError, match="Incorrect API key provided") as caught:
            await model.complete(request())
        assert "sk-wrong" not in str(caught.value) + repr(model) + repr(vars(caught.value))
        await model.close()


async def test_an_unknown_model_stops_the_run_in_the_servers_words() -> None:
    async with FakeServer() as server:
        model = OpenAIModel("other", base_url=server.url)
        with pytest.raises(ProviderError, match="`other` does not exist"):
            await model.complete(request())
        await model.close()


@pytest.mark.parametrize("make", WIRES)
async def test_a_torn_reply_may_have_been_paid(make: Maker) -> None:
    async with FakeServer(torn=1.0) as server:
        model = make(server)
        with pytest.raises(AttemptError, match="broke") as caught:
            await model.complete(request())
        assert caught.value.unsure
        await model.close()


async def test_a_server_that_is_not_there_was_not_paid() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = OpenAIModel("fake", base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(AttemptError, match="cannot be reached") as caught:
        await model.complete(request())
    assert caught.value.unreachable
    assert not caught.value.unsure
    await model.close()


async def test_a_silent_server_times_out_as_unsure() -> None:
    async with FakeServer(latency=30) as server:
        model = OpenAIModel("fake", base_url=server.url, read_timeout=0.05)
        with pytest.raises(AttemptError, match=r"said nothing for 0\.05 s") as caught:
            await model.complete(request())
        assert caught.value.unsure
        await model.close()


async def test_a_reply_without_usage_counts_at_its_bytes() -> None:
    model = OpenAIModel("fake")
    completion = model._completion(b'{"choices":[{"message":{"content":"abc"},"finish_reason":"stop"}]}', request())
    assert completion.usage == Usage(request().prompt_bytes(), 4)


async def test_reasoning_that_is_only_in_the_total_counts_as_written() -> None:
    body = (
        b'{"choices":[{"message":{"content":"abc"}}],'
        b'"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":50,"prompt_tokens_details":{"cached_tokens":4}}}'
    )
    assert OpenAIModel("fake")._completion(body, request()).usage == Usage(10, 40, 4)


def sorted_as(status: int, message: str, **headers: str) -> UpcycleError:
    return refusal("the server", status, orjson.dumps({"error": {"message": message}}), headers)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "This model's maximum context length is 8192 tokens, however you requested 9000", "row"),
        (400, "The response was filtered due to the content_filter policy", "row"),
        (400, "something odd about this one", "row"),
        (413, "Request too large", "row"),
        (403, "Your input was flagged by moderation", "row"),
        (400, "The model `gpt-nope` does not exist", "run"),
        (400, "Unrecognized request argument supplied: foo", "run"),
        (401, "bad key", "run"),
        (402, "Payment required", "run"),
        (403, "Country not supported", "run"),
        (404, "model not found", "run"),
        (429, "You exceeded your current quota, please check your plan and billing details", "run"),
        (400, "Your credit balance is too low to access the API", "run"),
        (301, "Moved", "run"),
        (408, "timeout", "again"),
        (409, "conflict", "again"),
        (425, "too early", "again"),
        (429, "Rate limit reached", "again"),
        (500, "oops", "again"),
        (503, "overloaded", "again"),
        (529, "Overloaded", "again"),
    ],
)
def test_a_refusal_is_of_the_row_of_the_run_or_to_be_tried_again(status: int, message: str, kind: str) -> None:
    error = sorted_as(status, message)
    found = "again" if isinstance(error, AttemptError) else "row" if isinstance(error, RowError) else "run"
    assert found == kind
    assert isinstance(error, ProviderError) == (kind == "run")
    if isinstance(error, RowError):
        assert error.kind == (RowKind.API_TRANSIENT if kind == "again" else RowKind.API_FATAL)
        assert message in str(error)


def test_only_refusals_for_load_count_as_overload() -> None:
    errors = {status: sorted_as(status, "x") for status in (429, 500, 503, 529)}
    assert {s for s, e in errors.items() if isinstance(e, AttemptError) and e.overloaded} == {429, 503, 529}


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    assert retry_after({"Retry-After": "2.5"}) == 2.5
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    later = retry_after({"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"})
    assert later is not None
    assert later > 1e6
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


def test_a_500_that_was_worked_on_says_what_it_used() -> None:
    body = b'{"error":{"message":"late failure"},"usage":{"prompt_tokens":9,"completion_tokens":1}}'
    error = refusal("the server", 500, body, {})
    assert isinstance(error, AttemptError)
    assert error.usage == Usage(9, 1)


def test_a_key_that_the_server_repeats_is_struck_out() -> None:
    error = refusal("the server", 401, b'{"error":{"message":"Incorrect key sk-123"}}', {}, secret="sk-123")
    assert "sk-123" not in str(error)
    assert "Incorrect key ***" in str(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"message":"no","code":"bad_thing"}}', "no (bad_thing)"),
        (b'{"message":"no"}', "no"),
        (b'{"detail":[{"msg":"x"}]}', "[{'msg': 'x'}]"),
        (b"<html>Bad\n gateway</html>", "<html>Bad gateway</html>"),
        (b"", "no explanation"),
        (b"[]", "[]"),
    ],
)
def test_the_servers_words_are_found_wherever_it_puts_them(body: bytes, said: str) -> None:
    assert words(body) == said


def test_an_error_inside_a_200_is_sorted_by_its_code() -> None:
    model = OpenAIModel("fake")
    with pytest.raises(AttemptError, match="busy"):
        model._completion(b'{"error":{"message":"busy","code":429}}', request())
    with pytest.raises(ProviderError, match="bad key"):
        model._completion(b'{"error":{"message":"bad key","code":401}}', request())


def test_an_address_is_shown_without_credentials() -> None:
    assert bare_address("http://user:secret@host:8000/v1/") == "http://host:8000/v1"
    assert OpenAIModel("m", base_url="http://user:secret@host/v1").endpoint == "http://host/v1"
    assert is_local("http://127.0.0.1:8000/v1")
    assert is_local("http://localhost/v1")
    assert not is_local("https://localhost.example.com/v1")


def test_a_strict_schema_is_closed_and_without_what_strict_decoding_refuses() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 9}, "b": {"type": "array", "items": SCHEMA}},
        "required": ["a", "b"],
    }
    strict = to_strict(schema)
    assert strict is not None
    assert strict["additionalProperties"] is False
    assert strict["properties"]["a"] == {"type": "string"}
    assert strict["properties"]["b"]["items"]["additionalProperties"] is False
    assert "additionalProperties" not in schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": True},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"a": {"oneOf": []}}, "required": ["a"]},
    ],
)
def test_a_schema_that_strict_decoding_cannot_say_does_not_fit(schema: dict[str, object]) -> None:
    assert to_strict(schema) is None
