"""`report.html` in a real browser: what a reader clicks, types and sees, by mouse, by keyboard and on a phone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from upcycle.report.page import make_report
from whole_runs import UPCYCLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> hostile"
PLAN = """\
source: rows
steps:
- do: filter
  field: text
  min_chars: 8
input: "{text}"
output: "{label}"
"""


def rows() -> list[dict[str, str]]:
    about = ("rivers", "engines", "parliament", "bread")
    many = [
        {
            "text": f"Note {n} about {about[n % 4]}: chapter {n * 7} says {n * n} things.",
            "label": ("even", "odd")[n % 2],
        }
        for n in range(300)
    ]
    return [*many, {"text": HOSTILE, "label": "odd"}, {"text": "short", "label": "odd"}, dict(many[3]), dict(many[4])]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its page, another beside it, and both compared."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "plan.yaml").write_text(PLAN)
    for name, some in (("first", rows()), ("second", rows()[:50])):
        (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, some)))
        # A process of its own: where a browser is driven, this thread's event loop is taken.
        flags = ["--source", str(folder / "rows.jsonl"), "--plan", str(folder / "plan.yaml"), "--model", "none"]
        asked = [UPCYCLE, "build", "Say whether the number is even", "-n", "400", "-o", str(folder / name), *flags]
        assert subprocess.run(asked, capture_output=True, timeout=120).returncode == 1, "fewer rows than were asked for"
        shutil.copy(folder / name / "report.html", folder / f"{name}-built.html")
        make_report(folder / name)
    make_report(folder / "first", folder / "second", out=folder / "both.html")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium was found (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dev group)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield started
        started.close()


class Opened:
    """A page in the browser, and everything that went wrong or was fetched in it."""

    def __init__(self, browser: Browser, path: Path, width: int = 1280, **options: Any) -> None:
        # Without it the page scrolls smoothly, and a place read on the way is no longer there when the pointer comes.
        options.setdefault("reduced_motion", "reduce")
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.fetched: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("request", lambda request: self.fetched.append(request.url))
        self.page.set_default_timeout(20_000)
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")


@pytest.fixture
def page(browser: Browser, reports: Path) -> Iterator[Page]:
    """The page of the first run; whatever a test does, nothing may fail in it and nothing be fetched."""
    opened = Opened(browser, reports / "first/report.html")
    yield opened.page
    assert opened.wrong == []
    assert [url for url in opened.fetched if not url.startswith(("file:", "data:"))] == []
    opened.context.close()


def status(page: Page, chapter: str) -> str:
    return page.inner_text(f"#{chapter} .browser .status")


def test_it_opens_with_the_figures_of_the_run(page: Page):
    assert page.inner_text("h1") == "say_whether_the_number_is_even"
    figures = page.inner_text(".figures")
    assert "301" in figures
    assert "of 304 records tried" in figures
    assert "Stopped short." in page.inner_text(".warning")
    assert page.title() == "first · upcycle"


def test_a_row_that_is_clicked_stands_beside_its_source_record(page: Page):
    page.click("#examples .list-row >> nth=4")
    wanted = page.inner_text("#examples .list-row[aria-selected=true] .list-first")
    detail = page.locator("#examples .detail")
    assert detail.locator(".part .text").first.inner_text() == wanted
    assert detail.locator(".fields dd").first.inner_text() == wanted
    assert "in the input" in detail.locator(".fields dt").first.inner_text()


def test_arrow_keys_go_through_thousands_of_rows(page: Page):
    page.focus("#examples .list")
    for key, place in (("ArrowDown", 2), ("ArrowDown", 3), ("ArrowUp", 2), ("End", 301), ("Home", 1), ("PageDown", 0)):
        page.keyboard.press(key)
        if place:
            page.wait_for_selector(f"#examples .stepper:has-text('{place} of 301')")
    assert page.get_attribute("#examples .list", "aria-activedescendant") is not None
    assert page.locator("#examples .list-row").count() < 60, "only visible rows exist"


def test_the_stepper_goes_on_and_back(page: Page):
    page.click("#examples [aria-label='Next row']")
    page.wait_for_selector("#examples .stepper:has-text('2 of 301')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#examples .stepper:has-text('3 of 301')")
    page.click("#examples [aria-label='Previous row']")
    page.wait_for_selector("#examples .stepper:has-text('2 of 301')")


def test_a_slash_searches_all_rows_and_marks_what_was_found(page: Page):
    page.keyboard.press("/")
    page.keyboard.type("CHAPTER 2093 ")
    page.wait_for_selector("#examples .status:has-text('1 of 301 rows')")
    page.wait_for_selector("#examples .detail mark >> text=chapter 2093")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"
    page.fill("#examples input[type=search]", "no such words")
    page.wait_for_selector("#examples .nothing")


def test_rows_are_filtered_by_label_and_ordered_by_length(page: Page):
    page.select_option("#examples .field:has-text('label') select", label="odd (151)")
    page.wait_for_selector("#examples .status:has-text('151 of 301 rows')")
    page.select_option("#examples .field:has-text('order') select", value="-input length")
    page.wait_for_selector("#examples .list-row >> nth=0 >> text=hostile")


def test_a_reason_in_the_funnel_opens_its_rows(page: Page):
    page.click("#funnel summary:has-text('duplicate')")
    page.click("#funnel details[open] .bars button")
    page.wait_for_selector("#dropped .status:has-text('2 of 3 rows')")
    assert page.inner_text("#dropped .detail .tag") == "duplicate"
    assert "What it repeats" in page.inner_text("#dropped .detail")
    assert page.locator("#dropped .detail .sides section").count() == 2


def test_close_calls_show_duplicates_and_the_most_alike_that_were_kept(page: Page):
    assert page.locator("#pairs .pair").count() == 2
    page.select_option("#pairs select", index=1)
    page.wait_for_selector("#pairs .status:has-text('1–6 of')")
    page.click("#pairs [aria-label='Later pairs']")
    page.wait_for_selector("#pairs .status:has-text('7–12 of')")
    assert page.locator("#pairs ins").count() > 0


def test_a_plan_its_program_and_its_yaml_are_tabs_for_the_keyboard(page: Page):
    page.focus("#plans [role=tab][aria-selected=true]")
    assert "Keep the record only" in page.inner_text("#plans [role=tabpanel]")
    page.keyboard.press("ArrowRight")
    assert "def row(r)" in page.inner_text("#plans [role=tabpanel]")
    page.keyboard.press("ArrowRight")
    assert "min_chars: 8" in page.inner_text("#plans [role=tabpanel]")


def test_texts_of_rows_are_shown_and_never_run(page: Page):
    page.fill("#examples input[type=search]", "hostile")
    page.wait_for_selector("#examples .status:has-text('1 of 301 rows')")
    page.wait_for_selector("#examples .detail mark >> text=hostile")
    assert page.locator("#examples .detail .part .text").first.inner_text() == HOSTILE
    assert page.title() == "first · upcycle"
    assert page.locator("#app img").count() == 0


def test_the_map_is_read_by_arrow_keys_and_opens_its_example(page: Page):
    page.click("nav a[href='#map']")
    page.focus("#map canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    told = page.inner_text("#map .map-tip:not([hidden]) .map-text")
    page.keyboard.press("Enter")
    page.wait_for_selector("#examples .list:focus")
    page.locator("#examples .detail .part .text").first.wait_for()
    assert page.locator("#examples .detail .part .text").first.inner_text() == told


def test_the_map_answers_the_pointer(page: Page):
    page.click("nav a[href='#map']")
    page.focus("#map canvas")
    page.keyboard.press("ArrowRight")
    # Both read at once, and as seen from the canvas: chapters are drawn when they come near, and move what is below.
    point = page.locator("#map canvas").evaluate(
        """canvas => {
          const whole = canvas.getBoundingClientRect();
          const ring = canvas.parentElement.querySelector(".map-ring").getBoundingClientRect();
          return { x: ring.x + ring.width / 2 - whole.x, y: ring.y + ring.height / 2 - whole.y };
        }"""
    )
    page.keyboard.press("Escape")
    assert page.locator("#map .map-tip").is_hidden()
    page.locator("#map canvas").hover(position=point)
    page.wait_for_selector("#map .map-tip:not([hidden])")


def test_colours_follow_the_system_and_the_button(browser: Browser, reports: Path):
    opened = Opened(browser, reports / "first/report.html", color_scheme="dark")
    page = opened.page

    def light() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    assert light() < 150
    page.click(".theme")
    assert light() > 600
    page.click(".theme")
    assert light() < 150
    assert opened.wrong == []
    opened.context.close()


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, reports: Path):
    for name in ("first/report.html", "both.html"):
        opened = Opened(browser, reports / name, width=390)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
        opened.page.click("#examples .list-row >> nth=2")
        assert opened.wrong == []
        opened.context.close()


def test_the_first_tab_stop_skips_to_the_report_and_every_control_has_a_name(page: Page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input, canvas, [role=listbox], [role=region]')].filter((one) =>"
        " !one.textContent.trim() && !one.getAttribute('aria-label') && !one.closest('label')).length"
    )
    assert nameless == 0
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )


def test_several_datasets_lie_side_by_side(browser: Browser, reports: Path):
    opened = Opened(browser, reports / "both.html")
    page = opened.page
    assert page.locator("#funnel .beside > section").count() == 2
    assert page.locator("#unique polyline").count() == 2
    page.select_option("#examples .field:has-text('dataset') select", label="second")
    page.wait_for_selector("#examples .status:has-text('50 of 50 rows')")
    assert page.locator("#difficulty .beside .bars").count() == 2
    assert opened.wrong == []
    opened.context.close()


def test_a_page_as_the_build_wrote_it_says_how_to_measure_the_rest(browser: Browser, reports: Path):
    opened = Opened(browser, reports / "first-built.html")
    assert "upcycle report first" in opened.page.inner_text("#unique")
    opened.page.click("nav a[href='#map']")
    opened.page.wait_for_selector("#map code:has-text('upcycle report first')")
    assert opened.page.locator("#pairs .pair").count() == 2
    assert opened.wrong == []
    opened.context.close()
