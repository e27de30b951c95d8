"""OpenAI's fine-tuning file: chat messages, one JSON object a line, checked against the limits that reject a file."""

from __future__ import annotations

from collections.abc import Iterable

from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.trl import messages

FEWEST = 10
"""Examples below which the service refuses a training file."""
MOST_BYTES = 512_000_000
"""Size above which it refuses the upload."""


def _warn(beside: Beside) -> Iterable[str]:
    for split, count in beside.seen.rows.items():
        if split == "train" and count < FEWEST:
            yield f"OpenAI refuses training files of fewer than {FEWEST} examples; this one has {count}"
        size = (beside.out / beside.data[split]).stat().st_size
        if size > MOST_BYTES:
            yield f"{beside.data[split]} has {size / 1e6:,.0f} MB, and OpenAI takes {MOST_BYTES / 1e6:,.0f} at most"


def _use(beside: Beside) -> str:
    uploads = [
        f'{split} = client.files.create(file=open("{file}", "rb"), purpose="fine-tune")'
        for split, file in beside.data.items()
        if split != "test"
    ]
    given = [f"{'training' if split == 'train' else split}_file={split}.id" for split in beside.data if split != "test"]
    lines = "\n".join(uploads)
    return f"""```python
from openai import OpenAI

client = OpenAI()
{lines}
client.fine_tuning.jobs.create(model="<a model that can be tuned>", {", ".join(given)})
```"""


OPENAI = Format("openai", "OpenAI's fine-tuning file, chat messages", messages, _use, warn=_warn)
