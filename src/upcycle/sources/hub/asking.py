"""A model for one search of the index, outside of any run: what it is asked is kept nowhere."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from upcycle.budget import Budget
from upcycle.llm.connect import connect
from upcycle.llm.model import Model
from upcycle.run.journal import Journal
from upcycle.run.ledger import Ledger


@asynccontextmanager
async def asked_once(model: str | None, base_url: str | None) -> AsyncIterator[Model]:
    """The model of this name ("none" is none), closed again.

    Raises:
        ConfigError: the model's name is in no known form, or no model was found.
        ProviderError: its server cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="upcycle-search-") as folder:
        journal = Journal(Path(folder) / "run.db")
        try:
            opened = await connect(model, journal=journal, ledger=Ledger(Budget()), base_url=base_url)
            assert opened is not None
            try:
                yield opened
            finally:
                await opened.close()
        finally:
            journal.close()
