"""The run: a directory, its journal, its ledger, and the only concurrency there is."""

from upcycle.run.folder import Event, Listener, Run, write_text
from upcycle.run.journal import Journal
from upcycle.run.ledger import Bound, Ledger
from upcycle.run.rows import InOrder, run_rows

__all__ = [
    "Bound",
    "Event",
    "InOrder",
    "Journal",
    "Ledger",
    "Listener",
    "Run",
    "run_rows",
    "write_text",
]
