"""What tokens cost: the user's `prices.yaml`, else nothing for servers on this machine, else the list of genai-prices.

A price that is not known is not zero: it is None, and a money budget then refuses to start. Looked up once per model,
because the list takes a third of a second to load and 100 us a look.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.errors import ConfigError
from upcycle.llm.model import Usage


class Price(NamedTuple):
    """Millionths of a dollar per million tokens, which is dollars per million tokens times a million.

    Above `threshold` prompt tokens the `long_*` prices hold for all tokens of the call.
    """

    input: int
    output: int
    cached: int | None = None
    threshold: int | None = None
    long_input: int = 0
    long_output: int = 0

    def cost(self, usage: Usage) -> int:
        """Cost of a call in millionths of a dollar, rounded up."""
        if self.threshold is not None and usage.prompt > self.threshold:
            return math.ceil((usage.prompt * self.long_input + usage.completion * self.long_output) / 1_000_000)
        fresh = usage.prompt - usage.cached
        cached = self.input if self.cached is None else self.cached
        return math.ceil((fresh * self.input + usage.cached * cached + usage.completion * self.output) / 1_000_000)

    def bound(self, prompt: int, max_tokens: int) -> int:
        """The most a call of so many prompt and reply tokens can cost."""
        return self.cost(Usage(prompt, max_tokens))


FREE = Price(0, 0)


def find_price(name: str, *, endpoint: str, free: bool, files: tuple[Path, ...] = ()) -> Price | None:
    """The price of a model, or None where nobody knows it.

    Args:
        name: as in `--model`, "openai/gpt-x".
        free: whether the model runs on this machine.
        files: the user's price files, the first that lists the model wins.
    """
    for path in files:
        listed = read_prices(path)
        for key in (name, name.partition("/")[2]):
            if key in listed:
                return listed[key]
    return FREE if free else _published(name, endpoint)


def read_prices(path: Path) -> dict[str, Price]:
    """Read a price file: `openai/gpt-x: {input: 0.15, output: 0.60, cached: 0.08}`, in dollars per million tokens.

    Raises:
        ConfigError: the file cannot be read or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"price file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"price file {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"price file {path}: expected lines like 'openai/gpt-x: {{input: 0.15, output: 0.60}}'")
    return {str(name): _listed(path, name, entry) for name, entry in found.items()}


def _listed(path: Path, name: object, entry: Any) -> Price:
    numbers = entry if isinstance(entry, dict) else {}
    known = {"input", "output", "cached"}
    good = {"input", "output"} <= set(numbers) <= known and all(
        isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 for value in numbers.values()
    )
    if not good:
        raise ConfigError(
            f"price file {path}: {name} must be like {{input: 0.15, output: 0.60}}, dollars per million tokens"
        )
    return Price(*(round(numbers[key] * 1e6) if key in numbers else None for key in ("input", "output", "cached")))  # type: ignore[arg-type]


def _published(name: str, endpoint: str) -> Price | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, model = get_snapshot().find_provider_model(name.partition("/")[2], None, None, endpoint)
    except LookupError:
        return None
    listed = model.get_prices(datetime.now(UTC))
    base: list[int] = []
    top: list[int] = []
    thresholds: list[int] = []
    for field in ("input_mtok", "output_mtok", "cache_read_mtok"):
        value = getattr(listed, field, None)
        tiers = getattr(value, "tiers", ())
        thresholds += [tier.start for tier in tiers]
        base.append(_micro(getattr(value, "base", value)))
        top.append(_micro(tiers[-1].price) if tiers else base[-1])
    if base[0] < 0 or base[1] < 0:
        return None
    cached = base[2] if base[2] >= 0 else None
    if not thresholds:
        return Price(base[0], base[1], cached)
    return Price(base[0], base[1], cached, min(thresholds), max(top[0], base[0]), max(top[1], base[1]))


def _micro(dollars: Any) -> int:
    return -1 if dollars is None else math.ceil(dollars * 1_000_000)
