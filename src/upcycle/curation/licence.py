"""The licence gate: drops an example whose data may not be used as the user asked.

An example's licences are in its origin: those of every source it was made of. One that is not stated counts as
restricted (`sources/licences.py`). As sources state them; not legal advice.
"""

from __future__ import annotations

from upcycle.curation.check import KEEP, Check
from upcycle.errors import RowKind
from upcycle.records import Example, Verdict
from upcycle.sources.licences import Policy, permits


def licence_check(policy: Policy) -> Check:
    """Drops an example with a licence that `policy` does not allow; examples made of no source pass.

    Raises:
        ConfigError: there is no such policy.
    """
    permits(None, policy)

    def check(example: Example) -> Verdict:
        if policy == "any" or (example.origin.source is None and not example.origin.licences):
            return KEEP
        for licence in example.origin.licences or (None,):
            if not permits(licence, policy):
                stated = f"the licence {licence!r}" if licence else "no stated licence"
                return Verdict(keep=False, kind=RowKind.LICENCE, reason=f"its source has {stated}, not a {policy} one")
        return KEEP

    return check
