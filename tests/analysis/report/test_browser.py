"""The report in a browser: nothing fetched, nothing wrong, everything reachable by mouse and keyboard."""

from __future__ import annotations

import csv
import io
import re
import shutil
import unicodedata

import pytest
from pypdf import PdfReader

from analysis.report.report import write_report
from workers.contract.quantities import GLOSSARY
from workers.contract.store import Store

pytestmark = pytest.mark.slow

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
_SCREENS = {"desk": (1400, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    """Start the system's Chromium."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(
            f"THE REPORT IS NOT TESTED IN A BROWSER: none of {', '.join(_NAMES)} is installed"
        )
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory, report_of, sweep_in, forked_sweep_in):
    """Write a report of traces alone, with gaps, and one of measured laws."""
    folder = tmp_path_factory.mktemp("browser")
    traces = sweep_in(Store.open(str(folder / "a")), pairs=[(100, 0.08), (200, 0.2), (500, 0.5)])
    traces.plan()
    for number, trial in enumerate(traces.trials()):
        if number == 0:
            traces.fail(trial)
        else:
            traces.train(trial)
            traces.measure(trial)
    laws = forked_sweep_in(
        Store.open(str(folder / "b")), pairs=[(50, 0.1), (100, 0.1), (200, 0.2)], power=1.5,
        strength=0.01, scatter=0.03,
    ).fill()  # fmt: skip
    return {
        name: write_report(report_of(sweep.store, "toy"), folder / name)[0]
        for name, sweep in (("traces", traces), ("laws", laws))
    }


@pytest.fixture
def opened(browser, reports):
    """Open a report; whatever it fetches or complains of is kept in `page.faults`."""
    contexts = []

    def make(name, screen="desk", **settings):
        width, height = _SCREENS[screen]
        context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **settings
        )
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("console", lambda said: page.faults.append(said.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        address = reports[name].as_uri()
        page.on("request", lambda asked: asked.url == address or page.faults.append(asked.url))
        page.goto(address)
        return page

    yield make
    for context in contexts:
        context.close()


def _first_column(box):
    return box.locator("tbody tr:visible td:nth-child(1)").all_inner_texts()


@pytest.mark.parametrize("name", ["traces", "laws"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_fetched_and_nothing_is_wrong(opened, name, scheme):
    """No message, no request, no violation that axe finds, with everything unfolded."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(name, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.faults == []


@pytest.mark.parametrize("name", ["traces", "laws"])
@pytest.mark.parametrize("screen", list(_SCREENS))
def test_the_first_screen_holds_the_answer(opened, name, screen):
    """Every sentence, the forest plot, completeness and cost are wholly inside; nothing scrolls sideways."""
    page = opened(name, screen)
    width, height = _SCREENS[screen]
    for selector in ("h1", ".finding", "#forest", "#completeness", "#cost"):
        for place in page.locator(selector).all():
            box = place.bounding_box()
            assert box["y"] >= 0, selector
            assert box["y"] + box["height"] <= height, selector
            assert box["x"] + box["width"] <= width, selector
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_table_sorts_by_mouse_and_by_keyboard(opened):
    """By value, not by text: 200 < 400 < 1250; a second press turns the order, and says so."""
    page = opened("traces")
    box = page.locator(".table").first
    head = box.locator("th").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in _first_column(box)]
    assert values == sorted(values)
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in _first_column(box)] == values[::-1]


def test_a_table_filters_its_rows_by_mouse_and_by_keyboard(opened):
    """All words must be in a row; an empty box shows all."""
    page = opened("traces")
    box = page.locator(".table").first
    box.get_by_label("Filter").click()
    page.keyboard.type("500 0.5")
    assert box.locator("tbody tr:visible").count() == 1
    box.get_by_label("Filter").fill("")
    assert box.locator("tbody tr:visible").count() == 3
    box.locator("input[type=radio]:checked").last.focus()
    page.keyboard.press("Tab")
    page.keyboard.type("200")
    assert box.locator("tbody tr:visible").count() == 1


@pytest.mark.parametrize("name", ["traces", "laws"])
def test_every_figure_gives_its_values_by_mouse_and_by_keyboard(opened, name):
    """The value of the mark under the pointer, and with arrow keys of each in turn, is told below the figure."""
    page = opened(name)
    figures = page.locator("figure:has(.drawn)").all()
    assert len(figures) >= 4
    for figure in figures:
        value, drawn = figure.locator(".value"), figure.locator(".drawn")
        titles = drawn.locator("title").evaluate_all("all => all.map((each) => each.textContent)")
        drawn.focus()
        assert value.inner_text() == "Press → or ← for the value of each mark."
        for key, place in [("ArrowRight", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("End", -1)]:
            page.keyboard.press(key)
            assert value.inner_text() == titles[place]
        assert drawn.locator(".pointed").count() == 1
    figure = page.locator("figure:has(use:has(title))").first
    figure.locator("use:has(title)").first.hover(force=True)  # another mark may lie upon it
    told = figure.locator(".value").inner_text()
    assert told != titles[-1]
    assert told in figure.locator("title").all_text_contents()
    assert page.faults == []


def test_table_1_is_switched_by_mouse_and_by_keyboard(opened):
    """Per example or × N, initial or final rate: never two at once."""
    page = opened("traces")
    box = page.locator(".table").first
    heads = lambda: " | ".join(box.locator("th:visible").all_inner_texts())  # noqa: E731
    assert "N·" not in heads()
    assert "final η" not in heads()
    box.get_by_label("× N, as in the paper").click()
    assert "N·tr σ²" in heads()
    assert "| tr H" not in heads()
    box.get_by_role("radio", name="initial").focus()
    page.keyboard.press("ArrowRight")
    assert "final η" in heads()
    assert "initial η" not in heads()


def test_a_table_is_copied_and_saved(opened):
    """CSV has numbers without powers or signs of other alphabets, LaTeX is booktabs with mathematics."""
    page = opened("laws", permissions=["clipboard-read", "clipboard-write"])
    box = page.locator(".table").first
    with page.expect_download() as saved:
        box.get_by_role("button", name="Download CSV").click()
    text = saved.value.path().read_text(encoding="utf-8")
    assert saved.value.suggested_filename.endswith(".csv")
    box.get_by_role("button", name="Copy CSV").focus()
    page.keyboard.press("Enter")
    box.get_by_text("copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == text
    lines = [line.split(",") for line in text.splitlines()]
    assert lines[0][:2] == ["BS/LR", "BS"]
    assert len(lines) == 4
    place = lines[0].index("tr H")
    assert lines[0][place + 1] == "tr H stderr"
    assert all(float(line[place]) > 0 for line in lines[1:])
    box.get_by_role("button", name="Download CSV").focus()
    with page.expect_download() as saved_again:
        page.keyboard.press("Enter")
    assert saved_again.value.path().read_text(encoding="utf-8") == text
    box.get_by_role("button", name="Copy LaTeX").click()
    page.wait_for_function(
        "navigator.clipboard.readText().then((text) => text.includes('toprule'))"
    )
    latex = page.evaluate("navigator.clipboard.readText()")
    assert r"$\pm$" in latex
    assert r"$\sigma^{2}$" in latex
    assert not set(latex) & set("±σηλ⁻×²·")
    assert page.faults == []


def test_every_symbol_and_sign_has_its_latex(opened):
    """Mathematics in dollars, the rest in what pdfLaTeX reads as it stands."""
    page = opened("laws")
    texts = [
        *(quantity.symbol for quantity in GLOSSARY.values()),
        "η^a·m^b",
        r"a\b~c_d",
        "ρ = 1 → 2",
    ]
    written = page.evaluate("(texts) => texts.map(latexOf)", texts)
    assert written[-3] == r"$\eta$\textasciicircum{}a$\cdot$m\textasciicircum{}b"
    for text in written:
        assert text.isascii()
        assert not re.search(r"(?<!\\)[\^_~]", re.sub(r"\$[^$]*\$", "", text))


def test_laws_are_sorted_and_copied_by_name(opened):
    """CSV has the identifier in a column of its own, LaTeX the name alone; the filter finds either."""
    page = opened("laws", permissions=["clipboard-read", "clipboard-write"])
    box = page.locator(".table[data-title*=league]").first
    first = box.locator("tbody tr:visible td:nth-child(1)")
    box.locator("th").first.get_by_role("button").click()
    texts = first.all_inner_texts()
    assert texts[0] == "Finite time, from one point finite_time"
    names = [text.rsplit(" ", 1)[0] for text in texts]
    assert names == sorted(names)
    box.get_by_role("button", name="Copy CSV").click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('law,'))")
    head, *rows = csv.reader(page.evaluate("navigator.clipboard.readText()").splitlines())
    assert head[:2] == ["law", "law identifier"]
    assert [" ".join(row[:2]) for row in rows] == texts
    box.get_by_role("button", name="Copy LaTeX").click()
    page.wait_for_function(
        "navigator.clipboard.readText().then((text) => text.includes('toprule'))"
    )
    latex = page.evaluate("navigator.clipboard.readText()")
    assert "Wang 2019, Eq 4.45 &" in latex
    assert "wang" not in latex
    for wanted in ("wang_4_45", "Wang 2019"):
        box.get_by_label("Filter").fill(wanted)
        assert first.all_inner_texts() == ["Wang 2019, Eq 4.45 wang_4_45"]
    assert page.faults == []


@pytest.mark.parametrize("name", ["traces", "laws"])
def test_the_printed_page_loses_nothing(opened, name):
    """On A4 no cell is clipped, no column hidden, no fold closed; all comes out as a PDF but for queries."""
    page = opened(name)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size(
        {"width": 1032, "height": 733}
    )  # A4 less its margins, at 96 dots an inch
    clipped = page.evaluate("""() => [...document.querySelectorAll('th, td, svg, pre:not(.query pre)')].filter((each) => {
        const box = each.getBoundingClientRect();
        return box.width === 0 || box.right > innerWidth + 1 || each.scrollWidth > each.clientWidth + 1;
    }).map((each) => each.closest('.table, figure, section').textContent.trim().slice(0, 60))""")
    assert clipped == []
    assert page.locator("details:not([open])").count() == 0
    printed = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    text = _letters("".join(sheet.extract_text() for sheet in printed.pages))
    told = page.eval_on_selector_all("th, td", "all => all.map((each) => each.textContent)")
    assert [each for each in told if _letters(each) not in text] == []


def _letters(text: str) -> str:
    """Keep letters and digits: a PDF breaks lines as it likes, and names some signs otherwise."""
    return re.sub(r"[^A-Za-z0-9.]", "", unicodedata.normalize("NFKC", text))
