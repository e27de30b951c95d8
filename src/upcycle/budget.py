"""A budget: the most a run may spend, in money, tokens or calls."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

from upcycle.errors import ConfigError


class Budget(BaseModel):
    """The most a run may spend; None is no limit. Money in US dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None

    def described(self) -> str:
        parts = []
        if self.usd is not None:
            parts.append(f"${self.usd:g}")
        if self.tokens is not None:
            parts.append(f"{self.tokens:,} tokens")
        if self.calls is not None:
            parts.append(f"{self.calls:,} calls")
        return ", ".join(parts) or "no limit"


_UNITS = {
    "usd": "usd",
    "$": "usd",
    "tok": "tokens",
    "tokens": "tokens",
    "token": "tokens",
    "calls": "calls",
    "call": "calls",
}
_SCALES = {"": 1, "k": 1_000, "m": 1_000_000, "ktok": 1}


def parse_budget(text: str) -> Budget:
    """Read "5usd", "$5", "200ktok", "2mtok", "1000calls", or several joined by commas.

    Raises:
        ConfigError: the text is none of these.
    """
    limits: dict[str, float] = {}
    for part in text.lower().replace(" ", "").split(","):
        match = re.fullmatch(r"(\$)?(\d+(?:\.\d+)?)(k|m)?(usd|\$|tok|tokens?|calls?)?", part)
        unit = match and (match[1] or match[4])
        if not match or not unit:
            raise ConfigError(f"budget {text!r} is not understood; write 5usd, 200ktok or 1000calls")
        limits[_UNITS[unit]] = float(match[2]) * _SCALES[match[3] or ""]
    return Budget(
        usd=limits.get("usd"),
        tokens=int(limits["tokens"]) if "tokens" in limits else None,
        calls=int(limits["calls"]) if "calls" in limits else None,
    )
