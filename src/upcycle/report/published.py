"""What of a run everybody may see: its rows and how they were made, without what was left out.

The verdict on licences is about the rows that were kept. What was dropped may come from sources under other terms, or
repeat items of an evaluation set that should not be spread, and the report shows both; so neither is published, and
card and Croissant are cut to what is there.
"""

from __future__ import annotations

import orjson

from upcycle.errors import ConfigError
from upcycle.yamlfile import dump_yaml

_DROPPED = "dropped"
_NOTE = "What was dropped is not published: its licences were not judged, and it may repeat evaluation items."


def is_withheld(name: str) -> bool:
    """Whether this file of a run stays with whoever made it."""
    return name == "report.html" or name.startswith(f"{_DROPPED}/")


def published(name: str, content: bytes) -> bytes:
    """A file as everybody may see it.

    Raises:
        ConfigError: the card or the Croissant document was edited so that it cannot be read.
    """
    try:
        match name:
            case "README.md":
                return _card(content.decode()).encode()
            case "croissant.json":
                return _croissant(content)
            case _:
                return content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{name} cannot be read ({error}); build the run again to get it anew") from None


def _card(text: str) -> str:
    import yaml

    if not text.startswith("---\n"):
        return text
    _, head, body = text.split("---\n", 2)
    try:
        meta = yaml.safe_load(head)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    configs = meta.get("configs") or []
    kept = [config for config in configs if config.get("config_name") != _DROPPED]
    if len(kept) == len(configs):
        return text
    return f"---\n{dump_yaml({**meta, 'configs': kept})}---\n{body.rstrip()}\n\n{_NOTE}\n"


def _croissant(content: bytes) -> bytes:
    document = orjson.loads(content)
    for key in ("distribution", "recordSet"):
        document[key] = [one for one in document[key] if not str(one["@id"]).startswith((f"{_DROPPED}/", "dropped-"))]
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
