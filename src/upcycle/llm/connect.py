"""Which model, and why: `choose` says it without spending anything, `open_model` builds the gateway around it.

What the user named wins; then a key in the environment; then a server that answers on this machine; then the embedded
model, if its weights are there. Looking around and opening are two steps so that the command line can ask before
money is spent on a key that merely lies in the environment.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from upcycle.cache import cache_dir
from upcycle.config import is_address
from upcycle.errors import ConfigError
from upcycle.llm.anthropic import ANTHROPIC, AnthropicModel
from upcycle.llm.embedded import EmbeddedModel, runtime_installed
from upcycle.llm.gateway import Journaled, JournaledScoring, Metered, Paced, Retried
from upcycle.llm.model import Model, Scoring
from upcycle.llm.openai import OPENAI, OpenAIModel
from upcycle.llm.pace import Gate
from upcycle.llm.prices import Price, find_price
from upcycle.llm.transport import bare_address, is_local
from upcycle.llm.weights import installed, path

if TYPE_CHECKING:
    from upcycle.run.journal import Journal
    from upcycle.run.ledger import Ledger

LOCAL_PORTS: Mapping[int, str] = {11434: "Ollama", 8080: "llama.cpp", 8000: "vLLM"}
"""Where model servers listen by default; `UPCYCLE_LOCAL_PORTS` (comma-separated, may be empty) overrides it."""

FORMS = "openai/NAME, anthropic/NAME, embedded/NAME, a path to a .gguf file, or none"

# What a key alone asks for; OPENAI_MODEL and ANTHROPIC_MODEL override them.
_USUAL = {"openai": "gpt-4.1-mini", "anthropic": "claude-haiku-4-5"}
_PROBE_S = 1.0


class NoModelError(ConfigError):
    """Nobody named a model and none was found; what needs no model can still be done."""


class Choice(NamedTuple):
    """A model that was chosen.

    Attributes:
        name: "openai/gpt-x", "embedded/smollm2", ...
        endpoint: its server's address without credentials, or "embedded".
        why: one sentence for the user.
        paid: whether asking it costs money.
        asked_for: the user named it or its server; where not, a paid one needs a yes.
        file: the weights of an embedded model.
    """

    name: str
    endpoint: str
    why: str
    paid: bool
    asked_for: bool
    file: Path | None = None


async def choose(
    name: str | None = None,
    *,
    base_url: str | None = None,
    environ: Mapping[str, str] = os.environ,
    ports: Sequence[int] | None = None,
) -> Choice | None:
    """Choose the model. None means: none, as asked for with the name "none".

    Raises:
        ConfigError: the name is in no known form, or nothing to ask was found.
    """
    if name == "none":
        return None
    url = base_url or environ.get("OPENAI_BASE_URL")
    if url:
        _check_address(url, "--base-url" if base_url else "OPENAI_BASE_URL")
    if name:
        return _named(name, url, environ)
    if url:
        found = await asyncio.to_thread(first_model, url, environ.get("OPENAI_API_KEY", ""))
        source = "--base-url" if base_url else "OPENAI_BASE_URL"
        if found is None:
            raise ConfigError(
                f"{bare_address(url)} lists no models; is the server running, and the key right?"
                " Or name the model with --model openai/NAME"
            )
        return _remote(
            "openai", found, url, f"{source} is given, and this is its server's first model", asked_for=bool(base_url)
        )
    for provider, home in (("openai", OPENAI), ("anthropic", ANTHROPIC)):
        if environ.get(f"{provider.upper()}_API_KEY"):
            model = environ.get(f"{provider.upper()}_MODEL") or _USUAL[provider]
            why = f"{provider.upper()}_API_KEY is set in the environment"
            return _remote(provider, model, home, why, asked_for=False)
    return await _on_this_machine(_ports(ports, environ))


def _named(name: str, url: str | None, environ: Mapping[str, str]) -> Choice:
    provider, _, model = name.partition("/")
    if name.endswith(".gguf"):
        file = Path(name).expanduser()
        if not file.is_file():
            raise ConfigError(f"there is no model file {name}; --model takes {FORMS}")
        return Choice(f"embedded/{file.stem}", "embedded", "--model names this file", False, True, file)
    if provider == "embedded":
        return _embedded(model or "smollm2", "--model names it", asked_for=True)
    if provider == "openai" and model:
        home = url or OPENAI
        if home == OPENAI and not environ.get("OPENAI_API_KEY"):
            raise ConfigError(f"{name} needs a key in OPENAI_API_KEY, or the address of a server with --base-url")
        return _remote("openai", model, home, "--model names it", asked_for=True)
    if provider == "anthropic" and model:
        if not environ.get("ANTHROPIC_API_KEY"):
            raise ConfigError(f"{name} needs a key in ANTHROPIC_API_KEY")
        home = environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC
        _check_address(home, "ANTHROPIC_BASE_URL")
        return _remote("anthropic", model, home, "--model names it", asked_for=True)
    raise ConfigError(f"model {name!r} is not understood; --model takes {FORMS}")


def _remote(provider: str, model: str, url: str, why: str, *, asked_for: bool) -> Choice:
    return Choice(f"{provider}/{model}", bare_address(url), why, not is_local(url), asked_for)


def _embedded(model: str, why: str, *, asked_for: bool) -> Choice:
    file = path(model)
    if file.suffix != ".gguf":
        raise ConfigError(f"{model} is not a language model; use embedded/smollm2, or a path to a .gguf file")
    if not installed(model):
        raise ConfigError(f"the weights of embedded/{model} are not there; run: upcycle models fetch {model}")
    return Choice(f"embedded/{model}", "embedded", why, False, asked_for, file)


async def _on_this_machine(ports: Sequence[int]) -> Choice:
    urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
    answers = await asyncio.gather(*(asyncio.to_thread(first_model, url, "") for url in urls))
    for port, url, model in zip(ports, urls, answers, strict=True):
        if model is not None:
            server = LOCAL_PORTS.get(port, "a server")
            why = f"no model was named and no key is set; {server} answers on port {port} of this machine"
            return Choice(f"openai/{model}", url, why, False, False)
    if installed("smollm2") and runtime_installed():
        why = "no model was named, no key is set and no server answers on this machine"
        return _embedded(
            "smollm2", f"{why}; it shows the machinery, not the quality of a served model", asked_for=False
        )
    raise NoModelError(
        "no model was named, no key is set, no server answers on this machine and the embedded model is not fetched;"
        f" give --model ({FORMS}) or run: upcycle models fetch smollm2"
    )


def _ports(given: Sequence[int] | None, environ: Mapping[str, str]) -> Sequence[int]:
    if given is not None:
        return given
    text = environ.get("UPCYCLE_LOCAL_PORTS")
    if text is None:
        return tuple(LOCAL_PORTS)
    try:
        return tuple(int(port) for port in text.split(",") if port.strip())
    except ValueError as error:
        raise ConfigError(f"UPCYCLE_LOCAL_PORTS is {text!r}; write port numbers with commas between") from error


def _check_address(url: str, where: str) -> None:
    if not is_address(url):
        raise ConfigError(f"{url!r} is not an address; write {where} like http://localhost:8000/v1")


def first_model(url: str, key: str) -> str | None:
    """The first model a server lists, or None where nothing like a model server answers soon."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_PROBE_S if is_local(url) else 10 * _PROBE_S)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("GET", f"{parts.path.rstrip('/')}/models", headers=headers)
        listed = json.loads(connection.getresponse().read())
        return str(listed["data"][0]["id"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError):
        return None
    finally:
        connection.close()


def provider(choice: Choice, *, environ: Mapping[str, str] = os.environ) -> Model:
    """The bare provider of a choice: no journal, no budget, no retries."""
    kind, _, model = choice.name.partition("/")
    if choice.file is not None:
        return EmbeddedModel(choice.file, choice.name)
    if kind == "anthropic":
        url = _with_credentials(choice.endpoint, environ.get("ANTHROPIC_BASE_URL"))
        return AnthropicModel(model, base_url=url, key=environ.get("ANTHROPIC_API_KEY", ""))
    given = environ.get("OPENAI_BASE_URL")
    # A server merely found on this machine is not shown the key of another.
    known = choice.asked_for or choice.endpoint in {OPENAI, bare_address(given or OPENAI)}
    key = environ.get("OPENAI_API_KEY", "") if known else ""
    return OpenAIModel(model, base_url=_with_credentials(choice.endpoint, given), key=key)


def _with_credentials(endpoint: str, url: str | None) -> str:
    return url if url and bare_address(url) == endpoint else endpoint


def price_of(choice: Choice, *, prices: Path | None = None) -> Price | None:
    """The price of a choice, or None where nobody knows it.

    Raises:
        ConfigError: a price file cannot be read.
    """
    return find_price(choice.name, endpoint=choice.endpoint, free=not choice.paid, files=tuple(_files(prices)))


def _files(prices: Path | None) -> Iterator[Path]:
    if prices is not None:
        yield prices
    usual = cache_dir() / "prices.yaml"
    if usual.is_file():
        yield usual


def open_model(
    choice: Choice,
    *,
    journal: Journal,
    ledger: Ledger,
    concurrency: int = 32,
    rpm: int | None = None,
    tpm: int | None = None,
    prices: Path | None = None,
    max_attempts: int = 8,
    environ: Mapping[str, str] = os.environ,
) -> Model:
    """The whole gateway around a choice.

    Raises:
        ConfigError: the budget is in money and nobody knows the price.
    """
    price = price_of(choice, prices=prices)
    if price is None and ledger.money_capped:
        raise ConfigError(
            f"the price of {choice.name} is not known, so a budget in money cannot be kept; put a line"
            f" '{choice.name}: {{input: 0.15, output: 0.60}}' (dollars per million tokens) into"
            f" {cache_dir() / 'prices.yaml'}, or give the budget in tokens"
        )
    # One thread works on an embedded model; a second request waits at its door so that it never idles.
    at_once = min(concurrency, 2) if choice.file is not None else concurrency
    bare = provider(choice, environ=environ)
    metered = Metered(bare, journal=journal, ledger=ledger, price=price)
    retried = Retried(Paced(metered, Gate(at_once, rpm=rpm, tpm=tpm)), max_attempts=max_attempts)
    return JournaledScoring(retried, journal, bare) if isinstance(bare, Scoring) else Journaled(retried, journal)


async def connect(
    name: str | None = None,
    *,
    journal: Journal,
    ledger: Ledger,
    base_url: str | None = None,
    concurrency: int = 32,
    rpm: int | None = None,
    tpm: int | None = None,
    prices: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Model | None:
    """`choose` and `open_model` in one, for programs that need not ask in between."""
    choice = await choose(name, base_url=base_url, environ=environ)
    if choice is None:
        return None
    return open_model(
        choice,
        journal=journal,
        ledger=ledger,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        prices=prices,
        environ=environ,
    )
