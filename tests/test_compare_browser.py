"""The page of a comparison in a real browser: every leg drawn, and nothing fails or is fetched in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from test_compare import command, write_task

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("films")
    write_task(made)
    assert command(made).returncode == 0
    return made / "cmp"


@pytest.fixture(params=[1280, 400], ids=["wide", "phone"])
def page(folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium was found (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dev group)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": request.param, "height": 900})
        wrong: list[Any] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else wrong.append(one.url))
        opened.goto((folder / "report.html").as_uri())
        opened.wait_for_selector("html[data-ready]")
        yield opened
        assert wrong == []
        browser.close()


def test_every_leg_is_drawn_and_in_the_table(page: Page):
    assert page.inner_text("h1") == "films"
    assert page.title() == "What helps films · upcycle"
    names = ["always the same", "existing", "transformed", "gold", "gold + transformed", "random rows"]
    page.wait_for_selector("#comparison .chart svg circle")
    assert page.locator("#comparison .chart >> nth=0").locator("text.leg").all_text_contents() == names
    assert page.locator("#comparison .chart >> nth=0").locator("circle").count() == len(names)
    cells = page.locator("#comparison table >> nth=0").locator("tbody tr td:first-child").all_text_contents()
    assert [cell.split("  ")[0].startswith(name) for cell, name in zip(cells, names, strict=True)] == [True] * 6


def test_what_cannot_be_told_is_said_on_the_page(page: Page):
    said = page.inner_text("#comparison .said")
    assert "not significant at 95 %" in said
    assert "it asks a model, and none is named" in page.inner_text("#comparison")


def test_the_page_is_no_wider_than_the_window(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
