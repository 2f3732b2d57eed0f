"""The report of a run as a real browser shows it: what no reading of its HTML can tell."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tests.report import browser, drawn

LIVES = ["promoted", "parity", "recovered", "drift", "rejected"]
DESKTOP, PHONE, SMALL = browser.Look(1280), browser.Look(390, 844), browser.Look(320, 568)
LOOKS = [DESKTOP, PHONE, SMALL]

Report = Callable[[str], Path]

BEYOND = """[...document.body.querySelectorAll("*")].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.left < -1);
}).map(one => one.tagName + "." + one.getAttribute("class") + " " + one.textContent.slice(0, 40))"""
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
PLOTS = """[...document.querySelectorAll("svg")].map(one => {
    const whole = one.getBoundingClientRect();
    const drawn = [...one.querySelectorAll("rect, line, circle, path, text")].map(part => {
        const box = part.getBoundingClientRect();
        return Math.max(box.width, box.height);
    });
    return {about: one.getAttribute("aria-label") || one.getAttribute("class") || one.parentElement.className,
            width: whole.width, height: whole.height, largest: Math.max(0, ...drawn)};
})"""
TEXTS = """(() => {
    const number = said => said.match(/[\\d.]+/g).map(Number);
    const found = [];
    for (const one of document.body.querySelectorAll("*")) {
        const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!own || !one.getClientRects().length || one.closest("svg")) continue;
        let behind = one;
        const clear = at => number(getComputedStyle(at).backgroundColor)[3] === 0;
        while (behind && clear(behind)) behind = behind.parentElement;
        found.push([one.textContent.trim().slice(0, 40), number(getComputedStyle(one).color).slice(0, 3),
                    number(getComputedStyle(behind || document.body).backgroundColor).slice(0, 3)]);
    }
    return found;
})()"""
CONTRAST = 4.5
"""Of text, as WCAG 2 asks at level AA."""


def brightness(colour: Any) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def shares(picture: PIL.Image.Image) -> tuple[float, float]:
    """Return which parts of a picture are dark and which are light."""
    counted = picture.getcolors(picture.width * picture.height) or []
    dark = sum(number for number, colour in counted if brightness(colour) < 0.05)
    light = sum(number for number, colour in counted if brightness(colour) > 0.8)
    total = picture.width * picture.height
    return dark / total, light / total


@pytest.fixture(params=LIVES)
def page(request: pytest.FixtureRequest, report: Report) -> Path:
    """The report of each life."""
    return report(request.param)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.width} px")
def test_nothing_is_wider_than_the_window(chromium: browser.Browser, page: Path, look: browser.Look):
    with chromium.tab(page, look) as tab:
        tab.value(OPEN)
        assert tab.value("document.documentElement.scrollWidth") <= look.width
        assert tab.value(BEYOND) == []


def test_it_asks_for_nothing_and_complains_of_nothing(chromium: browser.Browser, page: Path):
    with chromium.tab(page) as tab:
        tab.value(OPEN)
        tab.picture()
        assert tab.asked == [page.as_uri()]
        assert tab.trouble == []


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.width} px")
def test_every_plot_has_an_area_and_something_in_it(
    chromium: browser.Browser, page: Path, look: browser.Look
):
    with chromium.tab(page, look) as tab:
        tab.value(OPEN)
        plots = tab.value(PLOTS)
        assert len(plots) > 2
        assert [one for one in plots if one["width"] < 24 or one["height"] < 5 or one["largest"] < 2] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_light_is_light_and_dark_is_dark(chromium: browser.Browser, page: Path, dark: bool):
    with chromium.tab(page, browser.Look(dark=dark)) as tab:
        deep, bright = shares(tab.picture())
    assert (deep if dark else bright) > 0.8
    assert (bright if dark else deep) < 0.2


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(chromium: browser.Browser, page: Path, dark: bool):
    with chromium.tab(page, browser.Look(dark=dark)) as tab:
        tab.value(OPEN)
        faint = {}
        texts = tab.value(TEXTS)
        assert len(texts) > 20
        for text, ink, paper in texts:
            low, high = sorted((brightness(ink), brightness(paper)))
            if (ratio := (high + 0.05) / (low + 0.05)) < CONTRAST:
                faint[text] = round(ratio, 2)
    assert faint == {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_prints_on_white_and_whole(chromium: browser.Browser, page: Path, dark: bool):
    sheet = browser.Look(794, 1123, dark=dark, medium="print")
    with chromium.tab(page, sheet) as tab:
        assert shares(tab.picture())[1] > 0.8
        assert tab.value(BEYOND) == []
        # What is folded on the screen is on the paper.
        assert tab.value("[...document.querySelectorAll('details')].filter(d => d.offsetHeight < 40)") == []
        least = tab.value("document.documentElement.scrollHeight") / sheet.height
        pdf = tab.printed()
        assert tab.asked == [page.as_uri()]
    assert pdf.startswith(b"%PDF-")
    # Beside the margins, little of a sheet stays empty because something is kept together.
    assert least <= len(re.findall(rb"/Type /Page\b", pdf)) <= 1.25 * least + 1


def test_the_pictures_in_the_docs_are_as_large_as_they_would_be_now():
    for name, (_, look) in drawn.PICTURES.items():
        with PIL.Image.open(drawn.IMAGES / f"{name}.png") as picture:
            assert picture.size == (look.width, look.height), "run `python -m tests.report.drawn`"


def test_these_tests_would_see_what_is_wrong(chromium: browser.Browser, tmp_path: Path):
    page = tmp_path / "wrong.html"
    page.write_text(
        "<!DOCTYPE html><meta charset=utf-8><title>x</title><body style='background:#fff;color:#ddd'>faint"
        "<img src='http://127.0.0.1:9/x.png'><div style='width:900px'>wide</div><svg width=0 height=0></svg>"
        "<script>console.error('no'); null.x</script>"
    )
    with chromium.tab(page, browser.Look(390, dark=True)) as tab:
        assert tab.asked == [page.as_uri(), "http://127.0.0.1:9/x.png"]
        assert len(tab.trouble) >= 3
        assert tab.value("document.documentElement.scrollWidth") > 390
        assert tab.value(BEYOND)[0].startswith("DIV")
        assert tab.value(PLOTS)[0]["largest"] == 0
        assert shares(tab.picture())[0] < 0.2
        _, ink, paper = tab.value(TEXTS)[0]
        assert brightness(paper) / brightness(ink) < CONTRAST
