"""A language model in this process: llama.cpp by xllamacpp, one worker thread, no key and no network.

In: a GGUF file. Out: completions held to the request's JSON Schema by grammar, and log-likelihoods by `score`. The
runtime opens a port on 127.0.0.1 by itself; it is locked with a random key, and we use it only to tokenize.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from upcycle.errors import ConfigError, RowError, RowKind
from upcycle.llm.model import Completion, Request, Usage

_CONTEXT = 8192
_FORCE = 1000.0  # a bias no other token can outweigh


class EmbeddedModel:
    """One GGUF file; loaded at the first request."""

    def __init__(self, path: Path, name: str, *, context: int = _CONTEXT, threads: int | None = None) -> None:
        self.name = name
        self.endpoint = f"embedded:{_fingerprint(path)}"
        self._path, self._context, self._threads = path, context, threads
        self._lock = secrets.token_hex(16)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="upcycle-embedded")
        self._server: Any = None

    async def complete(self, request: Request) -> Completion:
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._complete, request)

    async def score(self, prompt: str, continuations: list[str]) -> list[float]:
        """Log-likelihood of each continuation after the prompt: natural logarithm, summed over its tokens."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._score, prompt, continuations)

    async def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    # -- in the worker thread ------------------------------------------------------------------------------------

    def _complete(self, request: Request) -> Completion:
        body: dict[str, Any] = {
            "messages": list(request.messages),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.sample,
            "cache_prompt": True,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": request.schema}}
        reply = self._call("handle_chat_completions", body)
        choice, usage = reply["choices"][0], reply["usage"]
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return Completion(
            choice["message"].get("content") or "",
            Usage(usage["prompt_tokens"], usage["completion_tokens"], cached),
            choice["finish_reason"],
        )

    def _score(self, prompt: str, continuations: list[str]) -> list[float]:
        return [self._likelihood(prompt, continuation) for continuation in continuations]

    def _likelihood(self, prompt: str, continuation: str) -> float:
        start, whole = self._tokens(prompt), self._tokens(prompt + continuation)
        # Where prompt and continuation melt into one token, counting starts at the first token that differs.
        first = next((i for i, (a, b) in enumerate(zip(start, whole, strict=False)) if a != b), len(start))
        total = 0.0
        for position in range(max(first, 1), len(whole)):
            # The bias makes the model "choose" the token; the probability reported is the one without the bias.
            reply = self._call(
                "handle_completions",
                {
                    "prompt": whole[:position],
                    "n_predict": 1,
                    "n_probs": 1,
                    "temperature": 0,
                    "logit_bias": [[whole[position], _FORCE]],
                    "cache_prompt": True,
                },
            )
            total += reply["choices"][0]["logprobs"]["content"][0]["logprob"]
        return total

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = getattr(self._loaded(), method)(body)
        except ValueError as error:
            raise RowError(RowKind.API_FATAL, f"{self.name} refused the request: {error}") from error
        if "error" in reply:
            raise RowError(RowKind.API_FATAL, f"{self.name}: {reply['error'].get('message', reply['error'])}")
        return reply

    def _tokens(self, text: str) -> list[int]:
        address = self._loaded().listening_address.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            body = json.dumps({"content": text, "parse_special": False})
            connection.request("POST", "/tokenize", body, {"Authorization": f"Bearer {self._lock}"})
            return json.loads(connection.getresponse().read())["tokens"]
        finally:
            connection.close()

    def _loaded(self) -> Any:
        if self._server is None:
            self._server = self._load()
        return self._server

    def _load(self) -> Any:
        # Spinning OpenMP threads fall to a tenth of their speed beside any other busy process.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        runtime = _runtime()
        threads = self._threads or min(
            8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        settings = runtime.CommonParams()
        settings.model.path = str(self._path)
        settings.n_ctx, settings.n_parallel = self._context, 1
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        settings.warmup, settings.ui, settings.verbosity = False, False, -1
        settings.hostnames, settings.api_keys = ["127.0.0.1"], [self._lock]
        try:
            return runtime.Server(settings)
        except RuntimeError as error:
            raise ConfigError(f"{self._path} cannot be loaded as a GGUF model; give another file to --model") from error


def runtime_installed() -> bool:
    """Whether models can run in this process."""
    import importlib.util

    return importlib.util.find_spec("xllamacpp") is not None


def _runtime() -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise ConfigError("embedded models need xllamacpp; install it with: pip install 'upcycle[embedded]'") from error
    return xllamacpp


def _fingerprint(path: Path) -> str:
    # Enough to tell two model files apart without reading gigabytes: the header names tensors and settings.
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(1 << 20))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read())
    digest.update(str(size).encode())
    return digest.hexdigest()[:16]
