"""The pages of the report in headless Chromium: no errors, no network, and what people do with them works."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import PROGRAM, Page, chromium
from projects import Project

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here (apt-get install chromium)")

FIGURES = "results/tiny_screen/tiny/figures"
PHONE, LAPTOP = 375, 1280
PARTS = "[...document.querySelectorAll('#app > div > nav, #app > div > .grow')]"
BOXES = f"{PARTS}.map((part) => part.getBoundingClientRect().toJSON())"
HIDDEN = "(element) => { const box = element.getBoundingClientRect(); return box.width < 20 || box.height < 20; }"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def overview(browser: Page, finished: Project) -> Page:
    """The overview page, just opened on a laptop."""
    return opened(browser, finished.folder / FIGURES / "overview.html")


def opened(page: Page, path: Path, width: int = LAPTOP) -> Page:
    page.errors.clear()
    page.requests.clear()
    page.open(path, width)
    return page


@pytest.mark.parametrize("width", [LAPTOP, PHONE])
@pytest.mark.parametrize("name", ["overview", "provenance"])
def test_pages_load_without_errors_or_network_and_fit_the_window(
    browser: Page, finished: Project, name: str, width: int
) -> None:
    page = opened(browser, finished.folder / FIGURES / f"{name}.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.innerText.length") > 500
    assert page.errors == [] and page.requests == []


def test_snakemakes_own_report_opens_without_errors_and_lists_every_figure(
    browser: Page, finished: Project, tmp_path: Path
) -> None:
    finished.run("--report", str(tmp_path / "report.html"))
    page = opened(browser, tmp_path / "report.html")
    for category in ("0 Overview", "1 Data", "2 Training", "3 Results", "4 Explanation", "5 Audit"):
        page.wait_for(f"document.body.innerText.includes({category!r})")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    drawn = {path.name for path in (finished.folder / FIGURES).iterdir() if not path.name.endswith(".receipt.json")}
    assert len(drawn) == 24 + 26 + 2  # figures, the tables behind them (two have two), pages
    assert all(name in text for name in drawn)
    assert page.errors == [] and page.requests == []

    entries = "[...document.querySelectorAll('#app > div > nav *')]"
    listed = "[...document.querySelectorAll('#app > div > nav tbody tr')].map((row) => row.innerText.split('\\t')[0])"
    firsts = {
        "5 Audit": "audit", "4 Explanation": "channel attention", "3 Results": "accuracy breakdown",
        "2 Training": "augmentation examples", "1 Data": "channel variance", "0 Overview": "overview",
    }  # fmt: skip
    for category, first in firsts.items():
        page.evaluate(f"{entries}.filter((one) => one.innerText?.trim() === {category!r}).pop().click()")
        assert page.wait_for(f"{listed}.length && {listed}")[0] == first
        if category != "0 Overview":
            page.evaluate(f"{entries}.filter((one) => one.innerText?.trim() === 'Results').pop().click()")
            page.wait_for(f"{listed}.length === 0")

    # The overview page, which Snakemake makes a data: URL of that is too long for a frame.
    page.evaluate("document.querySelector('#app > div > nav tbody tr').querySelector('a, button').click()")
    url = page.wait_for("document.querySelector('#app iframe[src^=\"blob:\"]')?.src")
    shown = page.evaluate(f"fetch({url!r}).then((answer) => answer.text())")
    assert shown == (finished.folder / FIGURES / "overview.html").read_text(encoding="utf-8")
    assert page.errors == [] and page.requests == []

    opened(page, tmp_path / "report.html", PHONE)
    menu, content = page.wait_for(f"{BOXES}.length == 2 && {BOXES}")
    assert menu["width"] == content["width"] == PHONE
    assert content["y"] == menu["y"] + menu["height"] and content["height"] > 300


def test_every_figure_is_drawn_with_a_caption_and_its_tables(overview: Page) -> None:
    pictures = "Array.from(document.querySelectorAll('figure img'))"
    overview.wait_for(f"{pictures}.every((image) => image.complete)")
    assert overview.evaluate(f"{pictures}.length") == 24
    assert overview.evaluate(f"{pictures}.filter((image) => !image.naturalWidth).map((image) => image.alt)") == []
    assert overview.evaluate(f"{pictures}.filter({HIDDEN}).length") == 0
    assert overview.evaluate("document.querySelectorAll('figure details p').length") >= 48
    assert overview.evaluate("document.querySelectorAll('figure a[download]').length") == 26


def test_what_cannot_be_seen_is_told(overview: Page) -> None:
    """What axe and its like ask first: names of images and controls, one language, one first heading, no tab order."""
    assert overview.evaluate("document.documentElement.lang") == "en"
    assert overview.evaluate("document.querySelectorAll('h1').length") == 1
    assert overview.evaluate("document.querySelectorAll('img:not([alt])').length") == 0
    unnamed = "!element.labels?.length && !element.ariaLabel && !element.innerText.trim()"
    controls = "Array.from(document.querySelectorAll('input, select, button, a[href]'))"
    assert overview.evaluate(f"{controls}.filter((element) => {unnamed}).map((element) => element.outerHTML)") == []
    assert overview.evaluate("Array.from(document.querySelectorAll('[tabindex]')).every((e) => e.tabIndex <= 0)")
    assert overview.evaluate("document.querySelectorAll('[aria-live], [role=status]').length") == 2
    ids = "Array.from(document.querySelectorAll('[id]')).map((element) => element.id)"
    assert overview.evaluate(f"new Set({ids}).size == {ids}.length")


def test_the_pickers_show_sites_of_what_was_picked(overview: Page) -> None:
    shown = "Array.from(document.querySelectorAll('#gallery button')).map((button) => button.dataset.site)"
    sites = "JSON.parse(document.getElementById('data').textContent).explained.sites"
    assert overview.evaluate(shown) == overview.evaluate(f"{sites}.map((site) => site.id)")
    pick(overview, "class", "sim0003")
    wanted = overview.evaluate(f"{sites}.filter((site) => site['class'] == 'sim0003').map((site) => site.id)")
    assert wanted and overview.evaluate(shown) == wanted
    assert overview.evaluate("document.getElementById('count').textContent") == f"{len(wanted)} of 8 sites"
    # Only what goes with the class can still be picked.
    assert overview.evaluate("Array.from(document.getElementById('experiment').options).map((o) => o.value)")[0] == ""
    assert overview.evaluate("document.getElementById('site-title').textContent") == wanted[0]
    assert "sim0003" in overview.evaluate("document.getElementById('facts').innerText")


def pick(page: Page, select: str, value: str) -> None:
    element = f"document.getElementById('{select}')"
    page.evaluate(f"{element}.value = '{value}', {element}.dispatchEvent(new Event('change', {{bubbles: true}}))")


def test_a_site_is_seen_by_channel_with_and_without_its_grad_cam_and_with_its_neighbours(overview: Page) -> None:
    base = "document.getElementById('base')"
    composite = overview.evaluate(f"{base}.src")
    pick(overview, "channel", "2")
    assert overview.evaluate(f"{base}.src") != composite
    assert overview.evaluate(f"{base}.alt").endswith(", actin")
    overview.wait_for(f"{base}.complete && {base}.naturalWidth > 0")
    visible = "getComputedStyle(document.getElementById('veil')).display != 'none'"
    assert overview.evaluate(visible)
    overview.evaluate("document.getElementById('cam').click()")
    assert not overview.evaluate(visible)
    assert overview.evaluate("document.querySelectorAll('#attention tr').length") == 6
    assert overview.evaluate("document.querySelectorAll('#near img').length") == 3
    assert overview.evaluate("document.querySelectorAll('#attention tr.most').length") == 1


def test_a_well_is_found_by_its_id_from_the_keyboard(overview: Page) -> None:
    overview.evaluate("document.getElementById('search').focus()")
    for letter in "huvec-03":
        overview.press(letter)
    assert overview.evaluate("document.getElementById('search-hint').textContent").startswith("20 of 60 wells match")
    first = overview.evaluate("document.querySelector('#matches button').textContent")
    assert first.startswith("HUVEC-03_")
    overview.press("Enter")
    assert overview.evaluate("document.getElementById('well').textContent").startswith("Several wells match")
    for letter in first.lower().removeprefix("huvec-03"):
        overview.press(letter)
    assert overview.evaluate("document.getElementById('well').textContent") == ""
    overview.press("Enter")
    told = overview.evaluate("document.getElementById('well').innerText")
    assert first in told and "well of HUVEC" in told and f"cellsignal row {first}" in told


def test_a_well_whose_image_is_there_is_opened_and_an_unknown_one_is_not(overview: Page) -> None:
    well = overview.evaluate("JSON.parse(document.getElementById('data').textContent).explained.sites[5].well")
    search = "document.getElementById('search')"
    overview.evaluate(f"{search}.value = '{well}', document.getElementById('search-form').requestSubmit()")
    overview.evaluate("document.querySelector('#well button').click()")
    assert overview.evaluate("document.activeElement.id") == "site-title"
    assert overview.evaluate("document.activeElement.textContent").startswith(well)
    overview.evaluate(f"{search}.value = 'nowhere', document.getElementById('search-form').requestSubmit()")
    assert overview.evaluate("document.getElementById('well').textContent") == "No such well."


def test_the_tab_key_goes_through_the_page_in_reading_order_and_shows_where_it_is(overview: Page) -> None:
    places, names = [], []
    for _ in range(40):
        overview.press("Tab")
        names.append(overview.evaluate("document.activeElement.textContent || document.activeElement.id"))
        place = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
        places.append(overview.evaluate(place))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert overview.evaluate(outline) != "none", names[-1]
    assert names[0] == "Skip to the content" and "search" in names
    assert places == sorted(places) and len(set(places)) == len(places)


def test_pages_are_readable_on_a_phone(browser: Page, finished: Project) -> None:
    page = opened(browser, finished.folder / FIGURES / "overview.html", PHONE)
    texts = "Array.from(document.querySelectorAll('main p, main li, main dd, main a, main button, main td'))"
    sizes = f"{texts}.filter((e) => e.offsetParent).map((e) => parseFloat(getComputedStyle(e).fontSize))"
    assert page.evaluate(f"Math.min(...{sizes})") >= 11
    wide = "(element) => element.getBoundingClientRect().right > 376 && !element.closest('.picture, table')"
    everything = "Array.from(document.querySelectorAll('main *'))"
    assert page.evaluate(f"{everything}.filter({wide}).map((e) => e.outerHTML)") == []
