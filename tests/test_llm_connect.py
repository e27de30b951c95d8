"""Which model is taken, in which order, and that it is said why."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from upcycle.budget import Budget
from upcycle.errors import ConfigError
from upcycle.llm.anthropic import ANTHROPIC
from upcycle.llm.connect import Choice, choose, connect, price_of, provider
from upcycle.llm.model import Request, Scoring
from upcycle.llm.openai import OPENAI
from upcycle.llm.prices import FREE
from upcycle.run.journal import Journal
from upcycle.run.ledger import Ledger
from upcycle.testing import FakeServer

KEYS = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCYCLE_CACHE", str(tmp_path / "cache"))


async def chosen(name: str | None = None, **given: object) -> Choice:
    choice = await choose(name, **{"environ": {}, "ports": (), **given})  # type: ignore[arg-type]
    assert choice is not None
    return choice


async def test_none_is_none_whatever_the_environment_holds() -> None:
    assert await choose("none", environ=KEYS) is None


async def test_a_named_model_wins_over_every_key() -> None:
    choice = await chosen("anthropic/claude-x", environ=KEYS)
    assert choice == Choice("anthropic/claude-x", ANTHROPIC, "--model names it", True, True)
    choice = await chosen("openai/org/model:tag", environ=KEYS)
    assert (choice.name, choice.endpoint) == ("openai/org/model:tag", OPENAI)


async def test_a_named_model_needs_no_key_where_its_server_is_given() -> None:
    choice = await chosen("openai/llama", base_url="http://127.0.0.1:9/v1/")
    assert (choice.endpoint, choice.paid, choice.asked_for) == ("http://127.0.0.1:9/v1", False, True)
    choice = await chosen("openai/llama", environ={"OPENAI_BASE_URL": "http://10.0.0.7/v1"})
    assert (choice.endpoint, choice.paid) == ("http://10.0.0.7/v1", True)


@pytest.mark.parametrize("name", ["openai/gpt-x", "anthropic/claude-x"])
async def test_a_named_model_without_its_key_is_refused_with_the_keys_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name.partition('/')[0].upper()}_API_KEY"):
        await choose(name, environ={})


@pytest.mark.parametrize("name", ["gpt-x", "openai/", "mistral/x", "openai", "x/y/z"])
async def test_a_name_in_no_known_form_is_refused_with_the_forms(name: str) -> None:
    with pytest.raises(ConfigError, match=r"openai/NAME, anthropic/NAME, embedded/NAME, a path to a \.gguf"):
        await choose(name, environ=KEYS)


async def test_a_key_alone_is_a_paid_model_nobody_asked_for() -> None:
    choice = await chosen(environ=KEYS)
    assert choice.name.startswith("openai/")
    assert (choice.paid, choice.asked_for) == (True, False)
    assert "OPENAI_API_KEY" in choice.why
    choice = await chosen(environ={"ANTHROPIC_API_KEY": "x", "ANTHROPIC_MODEL": "claude-y"})
    assert (choice.name, choice.asked_for) == ("anthropic/claude-y", False)


async def test_a_server_given_without_a_model_is_asked_for_its_first() -> None:
    async with FakeServer(models=("first", "second")) as server:
        choice = await chosen(base_url=server.url)
        assert (choice.name, choice.asked_for) == ("openai/first", True)
        choice = await chosen(environ={"OPENAI_BASE_URL": server.url, **KEYS})
        assert (choice.name, choice.asked_for) == ("openai/first", False)


async def test_a_server_on_this_machine_is_found_and_said() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with FakeServer(models=("local",)) as server:
            port = int(server.url.split(":")[2].removesuffix("/v1"))
            choice = await chosen(ports=(closed.getsockname()[1], port))
    assert (choice.name, choice.paid, choice.asked_for) == ("openai/local", False, False)
    assert f"answers on port {port}" in choice.why


async def test_the_ports_are_a_setting() -> None:
    async with FakeServer(models=("local",)) as server:
        port = server.url.split(":")[2].removesuffix("/v1")
        assert (await chosen(ports=None, environ={"UPCYCLE_LOCAL_PORTS": f"1,{port}"})).name == "openai/local"
    with pytest.raises(ConfigError, match="UPCYCLE_LOCAL_PORTS"):
        await choose(environ={"UPCYCLE_LOCAL_PORTS": "http"})


async def test_a_found_server_is_not_shown_a_key_meant_for_another() -> None:
    async with FakeServer(models=("local",), key="sk-1") as server:
        environ = {"OPENAI_API_KEY": "sk-1"}
        found = Choice("openai/local", server.url, "found", False, False)
        asked = Request(({"role": "user", "content": "x"},), "test")
        bare = provider(found, environ=environ)
        with pytest.raises(Exception, match="Incorrect API key"):
            await bare.complete(asked)
        await bare.close()
        named = provider(found._replace(asked_for=True), environ=environ)
        assert (await named.complete(asked)).text
        await named.close()


async def test_with_nothing_to_ask_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="upcycle models fetch smollm2"):
        await choose(environ={}, ports=())


async def test_embedded_weights_that_are_not_there_are_named_with_the_command() -> None:
    with pytest.raises(ConfigError, match="upcycle models fetch smollm2"):
        await choose("embedded/smollm2", environ={})
    with pytest.raises(ConfigError, match="no embedded weights are called 'bert'"):
        await choose("embedded/bert", environ={})
    with pytest.raises(ConfigError, match="not a language model"):
        await choose("embedded/minilm", environ={})


async def test_a_model_file_is_taken_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model file .*mine\.gguf"):
        await choose(str(tmp_path / "mine.gguf"), environ={})
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    choice = await chosen(str(tmp_path / "mine.gguf"))
    assert (choice.name, choice.paid, choice.file) == ("embedded/mine", False, tmp_path / "mine.gguf")
    assert price_of(choice) == FREE


async def test_only_a_model_that_can_score_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    journal = Journal(tmp_path / "run.db")
    for name, can in ((str(tmp_path / "mine.gguf"), True), ("openai/x", False)):
        model = await connect(name, base_url="http://127.0.0.1:9/v1", journal=journal, ledger=Ledger(Budget()))
        assert model is not None
        assert isinstance(model, Scoring) is can
        await model.close()
    journal.close()


async def test_a_server_that_lists_no_models_is_asked_to_be_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match="--model openai/NAME"):
            await choose(base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1", environ={})


async def test_connecting_chooses_and_opens(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.db")
    async with FakeServer() as server:
        model = await connect("openai/fake", base_url=server.url, journal=journal, ledger=Ledger(Budget()))
        assert model is not None
        assert (await model.complete(Request(({"role": "user", "content": "x"},), "test"))).text == "echo: x"
        await model.close()
    assert await connect("none", journal=journal, ledger=Ledger(Budget())) is None
    journal.close()
