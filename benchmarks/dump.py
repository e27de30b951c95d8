"""A synthetic MediaWiki dump of any size, and what reading it costs: `tables.py` prints it as `dump_rss_mb`.

    python benchmarks/dump.py [--gb 2] [--json]

The dump is written by this script (articles of 4 to 60 kB with links, boxes, tables and notes, every eighth page a
redirect, talk pages between them) and removed afterwards; what is measured is the process that reads it into a store,
from start to end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from bench import Line, arguments, checked, finish, measure

_HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">\n'
_WORDS = ("river", "mountain", "table", "quickly", "seven", "green", "house", "walking", "under", "bright", "winter")
_READ = """
import sys
from pathlib import Path
from upcycle.sources.documents import DocumentStore
store = DocumentStore.open([Path(sys.argv[1])])
print(len(store))
store.close()
"""
_PAGE = """  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>{number}</id>
{redirect}    <revision>
      <id>{number}</id>
      <text bytes="1" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the dump (default: 2)")
    args = parser.parse_args()
    facts = read_dump(args)
    return finish("Reading a MediaWiki dump", told_dump(facts, args), facts, as_json=args.json)


def read_dump(args: argparse.Namespace) -> dict[str, Any]:
    """Write a dump of `args.gb` and read it in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump.xml"
        with path.open("w", encoding="utf-8") as file:
            pages = write_dump(file, int(args.gb * 1e9))
        read = checked(measure([sys.executable, "-c", _READ, str(path)]))
    return {"dump_rss_mb": round(read.rss_mb), "dump_gb": args.gb, "dump_pages": pages,
            "dump_s": round(read.seconds, 1), "dump_articles_taken": int(read.out)}  # fmt: skip


def told_dump(facts: dict[str, Any], args: argparse.Namespace) -> list[Line]:
    rss = facts["dump_rss_mb"]
    return [
        Line(f"memory to read a dump of {facts['dump_gb']:g} GB", f"{rss} MB", "500 MB", rss < 500),
        Line(f"its {facts['dump_pages']:,} pages read, {facts['dump_articles_taken']:,} taken", f"{facts['dump_s']} s"),
    ]


def write_dump(file: Any, size: int) -> int:
    """Write pages until there are so many bytes; gives their number."""
    random = Random(0)
    blocks = [_paragraph(random) for _ in range(400)]
    file.write(_HEAD)
    written = count = 0
    for text in _pages(random, blocks):
        file.write(text)
        count += 1
        written += len(text)
        if written >= size:
            break
    file.write("</mediawiki>\n")
    return count


def _pages(random: Random, blocks: list[str]) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        if number % 8 == 0:
            leads = f'    <redirect title="Place {number - 1}" />\n'
            text = f"#REDIRECT [[Place {number - 1}]]"
            yield _PAGE.format(title=f"Old place {number}", ns=0, number=number, redirect=leads, text=text)
            continue
        ns = 1 if number % 5 == 0 else 0
        links = " ".join(f"near [[Place {random.randrange(1, number + 50)}|the place]]" for _ in range(12))
        opening = f"{{{{Infobox place|area=1}}}} '''Place {number}''' is a town {links}.&lt;ref&gt;[[Note]]&lt;/ref&gt;"
        text = "\n\n".join([opening, *random.choices(blocks, k=random.randrange(4, 60))])
        yield _PAGE.format(title=f"Place {number}", ns=ns, number=number, redirect="", text=text)


def _paragraph(random: Random) -> str:
    text = f"{' '.join(random.choices(_WORDS, k=140))} [[Place {random.randrange(1, 1000)}]]."
    return text if random.random() < 0.8 else f"{text}\n{{| class=&quot;wikitable&quot;\n| a || b\n|}}"


if __name__ == "__main__":
    sys.exit(main())
