"""A Hub on a local port: what is asked of one to list datasets, read their files, make a repository and commit to it.

Everything is kept in memory: repositories are `HubRepo` values that a test may look at or fill. Large and binary files
go through LFS, as on the real one; its Xet protocol is not spoken (clients fall back, or set HF_HUB_DISABLE_XET=1).
`FakeHub.routes` is the table of pages: a subclass adds its own.
"""

from __future__ import annotations

from upcycle.testing.hub.repo import CONVERTED, HubCommit, HubFile, HubRepo
from upcycle.testing.hub.server import FakeHub

__all__ = ["CONVERTED", "FakeHub", "HubCommit", "HubFile", "HubRepo"]
