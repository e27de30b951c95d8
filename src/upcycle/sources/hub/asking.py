"""What a model says of a query that is looked for once, outside of any run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from upcycle.budget import Budget
from upcycle.llm.connect import connect
from upcycle.run.journal import Journal
from upcycle.run.ledger import Ledger
from upcycle.sources.index.understanding import ask_for_phrasings


async def phrasings(query: str, model: str | None, base_url: str | None) -> list[str]:
    """Keyphrases of a query and the description a fitting dataset would have, in one call.

    Raises:
        ConfigError: the model's name is in no known form, or no model was found.
        ProviderError: its server cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="upcycle-search-") as folder:
        journal = Journal(Path(folder) / "run.db")
        try:
            asked = await connect(model, journal=journal, ledger=Ledger(Budget()), base_url=base_url)
            if asked is None:
                return []
            try:
                return await ask_for_phrasings(query, asked)
            finally:
                await asked.close()
        finally:
            journal.close()
