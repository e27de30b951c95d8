"""Models for tests: `ScriptedModel` says what the test wrote down, `FlakyModel` breaks any model as servers break."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from upcycle.llm.faults import AttemptError
from upcycle.llm.model import Completion, Model, Request, Usage

Line = str | Completion | Exception | dict[str, Any] | list[Any] | None
"""What a script says: text, a whole completion, an error to raise, or a value that is sent as JSON."""

Script = Mapping[str, Line] | Sequence[Line] | Callable[[Request], Line]


class ScriptedModel:
    """Answers from a script and remembers what it was asked.

    Args:
        script: a dict (the first key that occurs in the prompt decides), a list (said in order), or a function of
            the request.
    """

    def __init__(self, script: Script, *, name: str = "scripted/model") -> None:
        self.name, self.endpoint = name, "scripted"
        self.requests: list[Request] = []
        self._script = script

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        line = self._line(request)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Completion):
            return line
        text = line if isinstance(line, str) else orjson.dumps(line).decode()
        return Completion(text, Usage(_tokens(_prompt(request)), _tokens(text)))

    async def close(self) -> None:
        """Nothing to close."""

    def _line(self, request: Request) -> Line:
        if callable(self._script):
            return self._script(request)
        if isinstance(self._script, Mapping):
            prompt = _prompt(request)
            for key, line in self._script.items():
                if key in prompt:
                    return line
            raise LookupError(f"the script knows no prompt like {prompt[:200]!r}; it knows {list(self._script)}")
        said = len(self.requests) - 1
        if said >= len(self._script):
            raise LookupError(
                f"the script has {len(self._script)} lines and was asked for one more: {request.messages}"
            )
        return self._script[said]


class FlakyModel:
    """A model whose answers go wrong at the given shares, by a seed.

    Args:
        rate_limited: share of 429, with `retry_after`.
        failing: share of 500.
        invalid: share of replies cut in the middle.
        torn: share of replies lost on the way back, which may have been paid.
    """

    def __init__(
        self,
        model: Model,
        *,
        rate_limited: float = 0.0,
        failing: float = 0.0,
        invalid: float = 0.0,
        torn: float = 0.0,
        retry_after: float | None = None,
        seed: int = 0,
    ) -> None:
        self.name, self.endpoint = model.name, model.endpoint
        self._model = model
        self._shares = (rate_limited, failing, torn, invalid)
        self._retry_after = retry_after
        self._random = random.Random(seed)

    async def complete(self, request: Request) -> Completion:
        limited, failing, torn, invalid = self._shares
        draw = self._random.random()
        if draw < limited:
            raise AttemptError("HTTP 429: slow down", retry_after=self._retry_after, overloaded=True)
        if draw < limited + failing:
            raise AttemptError("HTTP 500: something broke")
        completion = await self._model.complete(request)
        if draw < limited + failing + torn:
            raise AttemptError("the connection broke", unsure=True)
        if draw < limited + failing + torn + invalid:
            return Completion(completion.text[: len(completion.text) // 2], completion.usage, completion.finish)
        return completion

    async def close(self) -> None:
        await self._model.close()


def _prompt(request: Request) -> str:
    return "\n".join(message["content"] for message in request.messages)


def _tokens(text: str) -> int:
    return len(text) // 4 + 1
