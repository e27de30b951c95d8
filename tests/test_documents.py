"""Documents as a source: every kind of file becomes titled passages with links, on disk, in flat memory."""

from __future__ import annotations

import bz2
import gzip
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from upcycle.errors import SourceError
from upcycle.sources.documents import Document, DocumentStore, Link, Lost, key_of, occurs, plain_title, sentences
from upcycle.sources.documents.dump import Page, is_dump, pages
from upcycle.sources.documents.files import read_file
from upcycle.sources.documents.filling import SCHEMA, StoreWriter
from upcycle.sources.documents.sampled import add_dump
from upcycle.sources.documents.wikitext import passages_of

Opener = Callable[..., DocumentStore]
HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo><sitename>W</sitename></siteinfo>\n'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_rows(path: Path, *rows: object) -> Path:
    return write(path, "".join(orjson.dumps(row).decode() + "\n" for row in rows))


def page(title: str, text: str = "", *, ns: int = 0, redirect: str | None = None) -> str:
    leads = f'<redirect title="{redirect}" />' if redirect else ""
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>7</id>{leads}<revision><id>8</id>"
        f'<text xml:space="preserve">{text}</text></revision></page>\n'
    )


def opened(*paths: Path) -> dict[str, Document]:
    store = DocumentStore.open(paths)
    try:
        return {(document := store.get(number)).title: document for number in store.numbers(0)}
    finally:
        store.close()


@pytest.fixture
def store_of() -> Iterator[Opener]:
    stores: list[DocumentStore] = []

    def make(*paths: Path) -> DocumentStore:
        stores.append(DocumentStore.open(paths))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def test_a_markdown_page_is_its_title_its_paragraphs_and_its_links_by_path(tmp_path: Path):
    text = (
        "---\ntitle: Refunds\n---\n# How refunds work\n\nAsk [the desk](../desk.md#hours) or\n"
        "[[Manager|a manager]].\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Deadline\n\nWithin **30 days**, see [the web](https://example.org).\n\n"
        "```\ncode\n```\n"
    )
    document = read_file(write(tmp_path / "guides" / "refunds.md", text), tmp_path)
    assert isinstance(document, Document)
    assert (document.id, document.title) == ("guides/refunds.md", "Refunds")
    assert [one.text for one in document.passages] == ["Ask the desk or a manager.", "Within 30 days, see the web."]
    assert document.passages[1].section == "Deadline"
    assert document.links == (Link("the desk", "desk.md"), Link("a manager", "Manager"))


def test_of_an_html_page_menus_tables_scripts_and_note_marks_are_left_out(tmp_path: Path):
    text = (
        "<html><head><title>Site</title><style>p{}</style></head><body><nav>Home</nav><h1>The Moon</h1>"
        "<p>It is <a href='earth.html'>Earth's</a> moon.<sup>[1]</sup></p><table><tr><td>1</td></tr></table>"
        "<script>x()</script><h2>Visits</h2><p>Apollo&nbsp;11 landed.</p><footer>(c)</footer></body></html>"
    )
    document = read_file(write(tmp_path / "moon.html", text), tmp_path)
    assert isinstance(document, Document)
    assert document.title == "The Moon"
    assert [(one.section, one.text) for one in document.passages] == [
        ("", "It is Earth's moon."), ("Visits", "Apollo 11 landed.")
    ]  # fmt: skip
    assert document.links == (Link("Earth's", "earth.html"),)


def test_a_text_file_is_titled_by_a_first_line_that_stands_alone_and_else_by_its_name(tmp_path: Path):
    titled = read_file(write(tmp_path / "a.txt", "House rules\n\nNo smoking.\n\nNo\nnoise.\n"), tmp_path)
    plain = read_file(write(tmp_path / "fire_drill.txt", "Leave by the stairs."), tmp_path)
    assert isinstance(titled, Document)
    assert isinstance(plain, Document)
    assert (titled.title, [one.text for one in titled.passages]) == ("House rules", ["No smoking.", "No noise."])
    assert plain.title == "fire drill"


def test_files_that_cannot_be_read_are_named_with_the_reason_and_the_others_go_on(tmp_path: Path, store_of: Opener):
    write(tmp_path / "good.md", "# Good\n\nText.")
    write(tmp_path / "empty.md", "")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (tmp_path / "binary.txt").write_bytes(b"\0\1\2")
    write(tmp_path / ".hidden" / "secret.md", "# Secret\n\nText.")
    store = store_of(tmp_path)
    assert [store.get(number).title for number in store.numbers(0)] == ["Good"]
    assert sorted(store.lost()) == [
        Lost("binary.txt", "it is not UTF-8 text"), Lost("empty.md", "it holds no text"),
        Lost("latin.txt", "it is not UTF-8 text"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.html", b"<meta charset=undefined><p>caf\xe9</p>", "it is not UTF-8 text"),
        ("a.html", b"<meta charset=idna><p>caf\xe9</p>", "it is not UTF-8 text"),
        ("a.json", b"[" * 100_000, "it is nested too deeply"),
        ("a.json", b'{"a":' * 100_000, "it is nested too deeply"),
        ("a.jsonl", b'{"title": "_", "text": "Some words."}\n', "its title holds nothing but spaces and underscores"),
    ],
)
def test_what_no_document_can_be_made_of_is_counted_and_its_neighbours_are_read(
    tmp_path: Path, store_of: Opener, name: str, content: bytes, why: str
):
    write(tmp_path / "good.md", "# Good\n\nText.")
    (tmp_path / name).write_bytes(content)
    store = store_of(tmp_path)
    assert [store.get(number).title for number in store.numbers(0)] == ["Good"]
    assert [lost.why for lost in store.lost()] == [why]


def test_a_declaration_that_html_does_not_know_costs_at_most_its_page(tmp_path: Path, store_of: Opener):
    write(tmp_path / "good.md", "# Good\n\nText.")
    write(tmp_path / "odd.html", "<p>One.</p><![foo[bar]]>")
    store = store_of(tmp_path)  # newer versions of Python pass over the declaration
    assert "Good" in [store.get(number).title for number in store.numbers(0)]
    assert len(store) + len(store.lost()) == 2
    assert all(lost.why.startswith("it is not readable HTML") for lost in store.lost())


def test_a_file_whose_name_is_not_utf_8_is_a_document_that_links_lead_to(tmp_path: Path, store_of: Opener):
    write(tmp_path / "start.md", "# Start\n\nSee [the place](caf%E9.md).")
    write(tmp_path / os.fsdecode(b"caf\xe9.md"), "Coffee is served.")
    write(tmp_path / os.fsdecode(b"caf\xe8.md"), "Tea is served.")
    write_rows(tmp_path / os.fsdecode(b"r\xe9.jsonl"), {"text": "A row."}, 5)
    store = store_of(tmp_path)
    assert {store.get(number).id for number in store.numbers(0)} == {
        "start.md", "caf\\xe9.md", "caf\\xe8.md", "r\\xe9 1"
    }  # fmt: skip
    assert [lost.name for lost in store.lost()] == ["r\\xe9.jsonl row 2"]
    found = store.find("caf\\xe9.md")
    assert found is not None
    assert store.get(found).passages[0].text == "Coffee is served."
    assert [one.id for one in store.linking("caf\\xe9.md")] == ["start.md"]


def test_links_between_files_lead_to_them_however_they_are_written(tmp_path: Path, store_of: Opener):
    write(tmp_path / "index.md", "# Start\n\nSee [a](guides/setup.md), [b](guides/setup), [c](/guides/setup.md).")
    write(tmp_path / "guides" / "setup.md", "# Setting up\n\nBack to [the start](../index.md).")
    store = store_of(tmp_path)
    start = store.find("Start")
    assert start is not None
    leads = {store.find(link.target) for link in store.get(start).links}
    assert leads == {store.find("Setting up")} == {store.find("guides/setup.md")}
    assert [one.id for one in store.linking("index.md")] == ["guides/setup.md"]


def test_files_of_two_folders_keep_apart_and_links_stay_in_their_folder(tmp_path: Path, store_of: Opener):
    for folder, animal in (("one", "bear"), ("other/one", "lynx")):
        write(tmp_path / folder / "index.md", f"# Home of the {animal}\n\nSee [it](pages/it.md) or [[It|that]].\n")
        write(tmp_path / folder / "pages/it.md", f"# It\n\nA {animal}.\n")
    write(tmp_path / "other/one/lair.md", "# Lair\n\nDark.\n")
    write(tmp_path / "one/away.md", "# Away\n\nGo to [[Lair]], see [nothing](gone.md).\n")
    store = store_of(tmp_path / "one", tmp_path / "other/one")
    documents = {(one := store.get(number)).id: one for number in store.numbers(0)}
    assert set(documents) == {
        "one/index.md", "one/pages/it.md", "one/away.md", "one-2/index.md", "one-2/pages/it.md", "one-2/lair.md",
    }  # fmt: skip
    for folder, animal in (("one", "bear"), ("one-2", "lynx")):
        home = documents[f"{folder}/index.md"]
        assert home.title == f"Home of the {animal}"
        for link in home.links:
            number = store.find(link.target)
            assert number is not None
            assert store.get(number).text == f"A {animal}."
    lair, gone = (store.find(link.target) for link in documents["one/away.md"].links)
    assert (lair is not None and store.named(lair)[0], gone) == ("one-2/lair.md", None)


def test_a_copy_of_a_document_is_left_out_and_links_to_it_lead_to_the_first(tmp_path: Path, store_of: Opener):
    write(tmp_path / "a" / "copy/silver.md", "# Silver\n\nA metal. See [gold](gold.md).\n")
    write(tmp_path / "a" / "silver.md", "# Silver\n\nA metal. See [gold](copy/gold.md).\n")
    write(tmp_path / "a" / "tin.md", "# Tin\n\nA metal. See [silver](silver.md).\n")
    write(tmp_path / "b" / "silver.md", "# Silver\n\nA metal. See gold.\n")
    write_rows(tmp_path / "c.jsonl", {"title": "Tin", "text": "A metal. See silver."})
    store = store_of(tmp_path / "a", tmp_path / "b", tmp_path / "c.jsonl")
    assert {store.named(number)[0] for number in store.numbers(0)} == {"a/copy/silver.md", "a/tin.md"}
    assert store.lost() == [
        Lost("a/silver.md", "it repeats another document"), Lost("b/silver.md", "it repeats another document"),
        Lost("Tin", "it repeats another document"),
    ]  # fmt: skip
    assert store.find("a/silver.md") == store.find("a/copy/silver.md")


def test_rows_are_documents_by_their_title_and_text_columns(tmp_path: Path):
    paragraphs = [{"section": "", "text": "It orbits Earth.", "links": [{"anchor": "Earth", "target": "Earth"}]}]
    found = opened(
        write_rows(
            tmp_path / "rows.jsonl",
            {"title": "Moon", "paragraphs": paragraphs},
            {"title": "Earth", "text": "A planet.\n\nIt has one moon.", "links": ["Moon", {"title": "Sun"}]},
            {"title": "Luna", "redirect": "Moon", "text": ""},
        )
    )
    assert found["Moon"].links == (Link("Earth", "Earth"),)
    assert [one.text for one in found["Earth"].passages] == ["A planet.", "It has one moon."]
    assert found["Earth"].links == (Link("Moon", "Moon"), Link("Sun", "Sun"))
    assert found["Luna"].redirect == "Moon"


def test_a_title_may_be_a_number_and_a_paragraph_a_list_of_its_sentences(tmp_path: Path):
    write(tmp_path / "years.csv", "title,text\n1917,A year.\n1918,Another year.\n")
    split = [{"text": ["One.", "Two."]}, ["Three.", "Four."], {"text": "Five."}]
    write_rows(tmp_path / "split.jsonl", {"title": 7, "paragraphs": split})
    found = opened(tmp_path)
    assert sorted(found) == ["1917", "1918", "7"]
    assert [one.text for one in found["7"].passages] == ["One. Two.", "Three. Four.", "Five."]


def test_rows_of_one_title_are_paragraphs_of_one_document(tmp_path: Path):
    rows = [
        {"title": "Moon", "text": "First."},
        {"title": "Moon", "text": "Second."},
        {"title": "Moon", "text": "First."},
    ]
    assert [one.text for one in opened(write_rows(tmp_path / "rows.jsonl", *rows))["Moon"].passages] == [
        "First.", "Second."
    ]  # fmt: skip


def test_question_rows_give_the_paragraphs_they_carry_and_never_the_question(tmp_path: Path):
    hotpot = {
        "question": "Who?", "answer": "X",
        "context": {"title": ["A", "B"], "sentences": [["One. ", "Two."], ["Three."]]},
    }  # fmt: skip
    musique = {"question": "Who?", "paragraphs": [{"title": "C", "paragraph_text": "Four."}]}
    found = opened(write_rows(tmp_path / "rows.jsonl", hotpot, musique))
    assert {title: document.text for title, document in found.items()} == {
        "A": "One. Two.",
        "B": "Three.",
        "C": "Four.",
    }


def test_a_file_without_a_text_column_and_a_path_that_is_not_there_say_so(tmp_path: Path):
    questions = write_rows(tmp_path / "questions.jsonl", {"question": "Who?", "answers": ["X"]})
    with pytest.raises(SourceError, match=r"no document was found .*none of its columns \(question, answers\)"):
        DocumentStore.open([questions])
    with pytest.raises(SourceError, match="there are no documents at"):
        DocumentStore.open([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no document was found"):
        DocumentStore.open([tmp_path / "empty"])


def test_a_readme_beside_data_files_is_their_card_and_its_licence_is_kept(tmp_path: Path, store_of: Opener):
    write_rows(tmp_path / "rows.jsonl", {"title": "Moon", "text": "It orbits."})
    write(tmp_path / "README.md", "---\nlicense: cc-by-sa-4.0\n---\n# Moons\n\nA set.\n")
    store = store_of(tmp_path)
    assert (len(store), store.licences) == (1, ("cc-by-sa-4.0",))


def test_redirects_are_followed_and_those_in_a_circle_lead_nowhere(tmp_path: Path, store_of: Opener):
    rows = [
        {"title": "Moon", "text": "It orbits."},
        {"title": "Luna", "redirect": "Selene"}, {"title": "Selene", "redirect": "Moon"},
        {"title": "Up", "redirect": "Down"}, {"title": "Down", "redirect": "Up"}, {"title": "Me", "redirect": "Me"},
        {"title": "Mercury", "text": "Mercury may refer to: a planet, an element."},
    ]  # fmt: skip
    store = store_of(write_rows(tmp_path / "rows.jsonl", *rows))
    assert store.find("luna") == store.find("Moon") is not None
    assert [store.find(title) for title in ("Up", "Me", "Mercury", "Nobody")] == [None] * 4
    assert len(store) == 1


def test_a_title_that_only_its_bracket_tells_apart_leads_nowhere_without_it(tmp_path: Path, store_of: Opener):
    rows = [{"title": f"Mercury ({kind})", "text": "Text."} for kind in ("planet", "element")]
    store = store_of(write_rows(tmp_path / "rows.jsonl", *rows, {"title": "Venus (planet)", "text": "Text."}))
    assert store.find("Mercury") is None
    assert store.find("Mercury (planet)") is not None
    assert store.find("Venus") == store.find("Venus (planet)") is not None


def test_documents_that_a_text_names_are_found_by_whole_titles(tmp_path: Path, store_of: Opener):
    rows = [{"title": title, "text": "Text."} for title in ("Mara Ellis", "Empire", "Quill", "Phoenix (band)")]
    store = store_of(write_rows(tmp_path / "rows.jsonl", *rows))
    text = "Quill is small. It saw Mara Ellis's Empire State film, near Quill and Phoenix, by Mara Ellis Brown."
    assert [mention.text for mention in store.named_in(text)] == ["Mara Ellis", "Quill"]


def test_phrases_are_found_in_documents_without_links(tmp_path: Path, store_of: Opener):
    rows = [
        {"title": "A", "text": "The Silver Lake was shot in Quill."},
        {"title": "B", "text": "A lake of silver."},
        {"title": "C", "text": "silver lake, again."},
    ]
    store = store_of(write_rows(tmp_path / "rows.jsonl", *rows))
    assert {store.get(number).title for number in store.holding("Silver Lake")} == {"A", "C"}
    assert store.holding("!!!") == store.like("") == []


def test_a_folder_that_holds_the_documents_is_used_again_until_the_source_changes(tmp_path: Path):
    source, kept = write_rows(tmp_path / "rows.jsonl", {"title": "A", "text": "One."}), tmp_path / "kept"
    revisions = []
    for text in ("", "", "{}\n" + orjson.dumps({"title": "B", "text": "Two."}).decode()):
        with source.open("a", encoding="utf-8") as file:
            file.write(text)
        store = DocumentStore.open([source], kept)
        written = (kept / "documents.db").stat().st_mtime_ns
        revisions.append((store.revision, written, len(store)))
        store.close()
    assert revisions[0] == revisions[1]
    assert (revisions[2][0] != revisions[0][0], revisions[2][2]) == (True, 2)


def test_a_temporary_store_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    source = write_rows(tmp_path / "rows.jsonl", {"title": "A", "text": "One."})
    store = DocumentStore.open([source])
    store.holding("One")
    assert list((tmp_path / "temp").iterdir())
    store.close()
    with pytest.raises(SourceError):
        DocumentStore.open([write(tmp_path / "bad.xyz", "?")])
    assert not list((tmp_path / "temp").iterdir())


def test_wikitext_is_what_a_reader_sees_of_it():
    text = (
        "{{Infobox|x=1}}'''The Moon''' ({{IPA|x}}; [[Latin]]: {{lang|la|Luna}}) is [[Earth|Earth's]] "
        "{{convert|3474|km}} moon.<ref>a [[note]]</ref> See [[Star Wars: A New Hope]].\n\n"
        "[[File:Moon.jpg|thumb|The [[Sun]]]][[Category:Moons]]\n== Visits ==\n* [[Apollo 11]] landed\n* Others\n"
        '{| class="x"\n| cell\n|}\n== References ==\n[[Nobody]]\n'
    )
    found = passages_of(text)
    assert [(one.section, one.text) for one in found] == [
        ("", "The Moon (Latin: Luna) is Earth's 3474 km moon. See Star Wars: A New Hope."),
        ("Visits", "Apollo 11 landed"),
        ("Visits", "Others"),
    ]
    assert [link.target for one in found for link in one.links] == [
        "Latin", "Earth", "Star Wars: A New Hope", "Apollo 11"
    ]  # fmt: skip


def test_tables_inside_tables_are_left_out_and_one_that_never_ends_loses_nothing_else():
    nested = "Before.\n{| a\n|\n{| b\n| x\n|}\n| y {{z|}}\n|}\nAfter."
    assert [one.text for one in passages_of(nested)] == ["Before.", "After."]
    assert passages_of("Before.\n\n{| never closed\n| cell")[0].text == "Before."


DUMP = [
    page("The Moon", "'''The Moon''' orbits [[Earth]]. [[Luna]] &amp; others."),
    page("Talk:The Moon", "chatter", ns=1),
    page("Luna", "#REDIRECT [[The Moon]]", redirect="The Moon"),
    page("Earth", "'''Earth''' has [[The Moon]]."),
    page("Mercury", "{{disambiguation}} '''Mercury''':\n* planet"),
]


@pytest.mark.parametrize(("name", "opener"), [("w.xml", open), ("w.xml.bz2", bz2.open), ("w.xml.gz", gzip.open)])
def test_a_mediawiki_dump_is_read_packed_or_not(tmp_path: Path, store_of: Opener, name: str, opener: Callable):
    path = tmp_path / name
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(HEAD + "".join(DUMP) + "</mediawiki>")
    assert is_dump(path)
    store = store_of(path)
    moon = store.find("Luna")
    assert moon is not None
    assert store.get(moon).text == "The Moon orbits Earth. Luna & others."
    assert (len(store), store.find("Mercury")) == (2, None)


def test_a_dump_that_is_cut_off_or_damaged_gives_what_was_whole(tmp_path: Path, store_of: Opener):
    broken = page("Bad", "<b>never closed")
    cut = write(tmp_path / "cut.xml", HEAD + DUMP[0] + broken + DUMP[3] + "<page><title>Half")
    store = store_of(cut)
    assert {store.get(number).title for number in store.numbers(0)} == {"The Moon", "Earth"}
    assert [lost.name for lost in store.lost()] == ["Bad", "page 4"]
    packed = bz2.compress((HEAD + "".join(DUMP) * 2000).encode())
    (tmp_path / "cut.xml.bz2").write_bytes(packed[: len(packed) // 2] + b"\0" * 1000)
    found = list(pages(tmp_path / "cut.xml.bz2"))
    assert isinstance(found[-1], Lost)
    assert "damaged" in found[-1].why


def test_a_page_cannot_define_entities_and_a_text_cannot_close_a_page(tmp_path: Path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    tricky = page("Tricky", "&lt;/page&gt; &lt;page&gt; &amp;amp;") + page("Bomb", "&b;")
    found = list(pages(write(tmp_path / "w.xml", bomb + HEAD + tricky)))
    assert found[0] == Page("Tricky", None, "</page> <page> &amp;")
    assert isinstance(found[1], Lost)
    assert "not well-formed" in found[1].why


def test_of_a_large_dump_a_sample_is_taken_with_what_it_links_to_over_redirects(tmp_path: Path):

    articles = [page(f"Town {n}", f"Town {n} is near [[Way {n}]] and [[Town {n + 1}]].") for n in range(300)]
    ways = [page(f"Way {n}", "", redirect=f"Road {n}") + page(f"Road {n}", f"Road {n} is long.") for n in range(300)]
    dump = write(tmp_path / "w.xml", HEAD + "".join(ways) + "".join(articles))
    taken = []
    for _ in range(2):
        db = sqlite3.connect(":memory:")
        db.executescript(SCHEMA)
        add_dump(dump, StoreWriter(db), tmp_path, sample=20, linked=1)
        taken.append(db.execute("SELECT id, redirect FROM document ORDER BY number").fetchall())
        db.close()
    assert taken[0] == taken[1]
    titles = {title for title, redirect in taken[0] if redirect is None}
    redirected = {redirect for _, redirect in taken[0] if redirect is not None}
    assert 20 <= len(titles) <= 45
    assert redirected
    assert redirected <= titles
    assert not (tmp_path / "pages.part").exists()


def test_memory_does_not_grow_with_a_dump(tmp_path: Path):
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom upcycle.sources.documents.dump import pages\n"
        "print(sum(1 for _ in pages(Path(sys.argv[1]))))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for number in (1_000, 30_000):
        filler = "The river runs past the old mill and on to the sea. " * 60
        dump = tmp_path / f"{number}.xml"
        with dump.open("w", encoding="utf-8") as file:
            file.write(HEAD)
            file.writelines(page(f"Town {n}", f"Town {n} is near [[Town {n + 1}]]. {filler}") for n in range(number))
        command = [sys.executable, "-c", code, str(dump)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(told[0]) == number
        peaks.append(int(told[1]) / (1 << 20 if sys.platform == "darwin" else 1 << 10))
        dump.unlink()
    assert peaks[1] < peaks[0] + 20, peaks


def test_names_are_compared_without_case_accents_and_articles():
    assert occurs("The Élan", "on board the elan!")
    assert not occurs("Norway", "no way")
    assert not occurs("the", "the")
    assert key_of("Moon_landing#Apollo 11") == "moon landing"
    assert plain_title("Mercury (planet)") == "Mercury"
    assert plain_title("(sic)") == "(sic)"


def test_sentences_do_not_end_at_initials_and_abbreviations():
    text = 'J. R. Smith met Dr. Lee in St. Louis. They left (at 5 p.m.) for the U.S. Army. "Really?" she said.'
    assert sentences(text) == [
        "J. R. Smith met Dr. Lee in St. Louis.", "They left (at 5 p.m.) for the U.S. Army.", '"Really?" she said.'
    ]  # fmt: skip


@pytest.mark.data
def test_real_articles_paragraphs_and_questions_are_read(shared_data: Path, store_of: Opener):
    articles = store_of(shared_data / "documents" / "wikipedia_articles")
    assert (len(articles) > 480, articles.linked, articles.lost()) == (True, True, [])
    paragraphs = store_of(shared_data / "documents" / "hotpotqa")
    assert (len(paragraphs) > 4500, paragraphs.linked) == (True, False)
