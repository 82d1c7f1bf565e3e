"""The report in a browser: it draws, it fits, it asks for nothing, and it can be used from the keyboard."""

import csv
import importlib.util
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import torch
from markupsafe import Markup

from clips import film as animation
from curation.cases import contents
from drawings import draw
from recordings import film, soundfile_bytes, tone
from report.cases import summary, table, write
from vestige import cli
from vestige.config import DataConfig, DesignConfig, RunConfig
from vestige.data import open_source
from vestige.embeddings import TensorEmbeddings
from vestige.report.data import LONGEST_CAPTION
from vestige.report.options import ReportConfig
from vestige.report.section import Section
from vestige.runs import execute
from vestige.samples import Modality
from vestige.training.config import TrainingConfig

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
EVIL = "</script><img src=https://example.org/x.png onerror=alert(1)><script src=https://example.org/x.js></script>"
N = 60
WIDTHS = "all => Promise.all(all.map(i => i.decode().then(() => i.naturalWidth)))"
ROWS = "all => all.map(card => card.dataset.row)"

Visit = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with texts that would load and run something, long ones, and every role."""
    roles = [("candidate", "independent", "shared", "external")[row % 4] for row in range(4 * N)]
    score = [((row * 37) % 101 / 100) * (1.0, -1.0, 0.02, 0.1)[row % 4] for row in range(4 * N)]
    captions = [(EVIL, "word " * 20_000, "x" * 100_000, "\u202eفقط", "a red picture")[row % 5] for row in range(4 * N)]
    keys = [f"folder/{'deep-' * 30}{EVIL}/{row}" for row in range(4 * N)]
    scores = table(
        roles,
        score,
        captions=captions,
        keys=keys,
        planted=[row % 16 == 0 for row in range(4 * N)],
        heldout_se=[0.01] * 4 * N,
    )
    scores = scores.set_column(1, "group", [[f"{EVIL} {row // 8}" for row in range(4 * N)]])
    scores = scores.append_column("other", [[-value for value in score]])
    rates = {f"{side}@{k}": 0.9876 for side in "TI" for k in (1, 5, 10, 50)}
    wide = {"n": 12_345, "pair": ["image", "text"], "chance": rates, "models": {"left-" * 30: rates, "right": rates}}
    told = summary(
        retrieval=wide, data="folder:" + "long-" * 60, warnings=[EVIL, "w" * 500], command="vestige run " + "r" * 500
    )
    figures = {"model": ["f", "g"], "task": [EVIL] * 2, "data": [EVIL] * 2, "measure": ["accuracy"] * 2}
    figures |= {"value": [0.5, 0.25], "low": [0.4, None], "high": [0.6, None], "n": [7, 7], "chance": [0.1, 0.1]}
    points = {
        "mark": "point",
        "data": {"values": [{"x": 1}]},
        "encoding": {"x": {"field": "x", "type": "quantitative"}},
    }
    sections = [
        Section("A curve", EVIL, points),
        Section(EVIL, "", html=Markup("<table><tr><td>a cell</td></tr></table>")),
        Section("Text", "", html=EVIL),
    ]
    stores = {"f": TensorEmbeddings(keys, {"image": around(4 * N), "text": around(4 * N, 3)})}
    folder = tmp_path_factory.mktemp("report")
    write(
        folder,
        scores,
        told,
        config=f"data: {EVIL}\nlong: {'c' * 5_000}\n",
        stores=stores,
        evaluation=pa.table(figures),
        sections=sections,
        versions={EVIL: EVIL},
    )
    return folder / "report.html"


def around(n: int, step: int = 1) -> torch.Tensor:
    """N points on a circle, numbers that follow one another next to each other (step 1), or every third."""
    angle = torch.arange(n) * (2 * torch.pi * step / n)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


@pytest.fixture
def visit(browser: "Browser", report: Path) -> Iterator[Visit]:
    """Open the report at a width; whatever it asks for, says on the console or throws is a failure in the end."""
    said: list[str] = []
    contexts = []

    def open_page(width: int = 1280, *, fragment: str = "", of: Path | None = None) -> "Page":
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="light", accept_downloads=True
        )
        contexts.append(context)
        context.route("http*://**", lambda route: route.abort())
        page = context.new_page()
        address = (of or report).as_uri()
        beside = address.removesuffix(".html") + "_files/"
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, beside, "data:", "blob:"))
                else said.append(f"request: {request.url}")
            ),
        )
        page.goto(address + fragment)
        page.locator("html[data-drawn]").wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("width", [320, 768, 1280, 1920])
def test_fits_the_screen(visit: Visit, width: int) -> None:
    """Nothing scrolls sideways, folded or unfolded; the charts, the pictures and the sections are there."""
    page = visit(width)
    for unfold in ("details => details", "details => details.open = true"):
        page.eval_on_selector_all("details", f"all => all.forEach({unfold})")
        assert page.evaluate("document.documentElement.scrollWidth") == width
    for chart in ("#chart", "#scatter", "[data-section]"):
        drawn = page.locator(f"{chart} svg").bounding_box()
        assert drawn is not None
        assert drawn["width"] > 0.3 * min(width, 1000) - 60
        assert drawn["height"] > (200 if chart.startswith("#") else 10)
    assert page.locator("#chart svg path[stroke*='candidate']").count() > 0
    to_samples(page)
    sizes = page.eval_on_selector_all("#cards img", WIDTHS)
    assert len(sizes) >= 4
    assert set(sizes) == {40}
    boxes = page.eval_on_selector_all(".card", "all => all.map(c => c.getBoundingClientRect().toJSON())")
    assert len({round(box["height"], 1) for box in boxes}) == 1
    assert boxes[0]["height"] < 420
    for one, other in itertools.combinations(boxes, 2):
        apart = one["right"] <= other["left"] + 1 or other["right"] <= one["left"] + 1
        assert apart or one["bottom"] <= other["top"] + 1 or other["bottom"] <= one["top"] + 1
    page.locator(".card").first.click(position={"x": 40, "y": 60})
    inside = page.locator("dialog").bounding_box()
    assert inside is not None
    assert inside["x"] >= 0
    assert inside["x"] + inside["width"] <= width
    assert page.locator("dialog").evaluate("d => d.scrollWidth <= d.clientWidth")


def test_theme_and_paper(visit: Visit) -> None:
    """The colours of page and chart follow the theme while the page is open; paper is white and shows all."""
    page = visit()

    def colours() -> list[str]:
        return [
            page.evaluate("getComputedStyle(document.body).color"),
            page.locator("#chart svg path[stroke*='candidate']").first.evaluate("e => getComputedStyle(e).stroke"),
        ]

    light = colours()
    page.emulate_media(color_scheme="dark")
    becomes(page, lambda: [one != other for one, other in zip(light, colours(), strict=True)], [True, True])
    page.emulate_media(media="print")
    becomes(page, colours, light)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.eval_on_selector_all("details", "all => all.every(d => d.open)")
    assert page.locator("#cards.paper .card").count() == 48
    places = page.eval_on_selector_all(".card", "all => all.map(c => c.offsetLeft + ' ' + c.offsetTop)")
    assert len(set(places)) == 48
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    becomes(page, page.locator("#cards.paper").count, 0)
    to_samples(page)
    becomes(page, lambda: page.locator(".card").count() < 48, expected=True)


def test_legend_by_keyboard(visit: Visit) -> None:
    """A role leaves the chart and comes back; without the tall one the scale fits the others."""
    page = visit()
    shared = page.get_by_role("group", name="Roles shown in the histogram").get_by_role("button", name="shared")
    lines = page.locator("#chart svg path[stroke*='shared']")
    before = page.locator("#chart svg").inner_html()
    assert lines.count() > 0
    shared.focus()
    page.keyboard.press("Space")
    assert shared.get_attribute("aria-pressed") == "false"
    eventually(page, "!document.querySelector(\"#chart svg path[stroke*='shared']\")")
    page.keyboard.press("Enter")
    assert shared.get_attribute("aria-pressed") == "true"
    eventually(page, "document.querySelector(\"#chart svg path[stroke*='shared']\")")
    becomes(page, lambda: len(page.locator("#chart svg").inner_html()), len(before))
    assert lines.count() > 0


def test_pointer_on_a_bin(visit: Visit) -> None:
    page = visit()
    x, y, width, _ = box_of(page, "#chart svg")
    page.mouse.move(x + width / 2, y + 120)
    page.mouse.move(x + width / 2 + 3, y + 120)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    for name in ("score", "candidate", "independent", "shared", "external", "planted"):
        assert name in tooltip.inner_text()


def eventually(page: "Page", expression: str) -> None:
    """Wait until it is true; the page's policy forbids the polling of `wait_for_function`."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not true after half a minute: {expression}")


def becomes(page: "Page", reading: Callable[[], object], expected: object) -> None:
    """Read until it is what is expected: a page draws some time after what was done to it."""
    for _ in range(600):
        if reading() == expected:
            return
        page.wait_for_timeout(50)
    assert reading() == expected


def box_of(page: "Page", selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element, brought onto the screen."""
    element = page.locator(selector).first
    element.evaluate("e => e.scrollIntoView({ block: 'center' })")
    box = element.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def shown_scores(page: "Page") -> list[float]:
    """The scores of the cards near the screen, in order."""
    return [float(text.replace("−", "-")) for text in page.locator(".card .score b").all_inner_texts()]


def to_samples(page: "Page") -> None:
    page.locator("#tools").evaluate("e => e.scrollIntoView()")
    # Cards are drawn in the frame that follows the scrolling.
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    eventually(page, "document.querySelectorAll('.card').length > 2")


def found(page: "Page") -> int:
    """How many samples are said to be shown."""
    return int(page.locator("#found b").inner_text().replace(",", ""))


def test_brush_filters_the_gallery(visit: Visit) -> None:
    """A drag across the histogram, its numbers typed, and the way back."""
    page = visit()
    assert found(page) == N
    x, y, width, _ = box_of(page, "#chart svg")
    page.mouse.move(x + width * 0.7, y + 150)
    page.mouse.down()
    page.mouse.move(x + width * 0.8, y + 150, steps=4)
    page.mouse.move(x + width * 0.85, y + 150, steps=4)
    page.mouse.up()
    page.locator(".limit").wait_for()
    data = Read(page)

    def limits() -> tuple[float, float]:
        low, high = (float(page.locator(f"#{name}").input_value()) for name in ("low", "high"))
        return low, high

    def beside() -> bool:
        """Whether the gallery holds what lies between the limits, which are rounded for the page."""
        low, high = limits()
        inside = [value for value in data.scores("candidate") if low <= value <= high]
        return 0 < found(page) < N and abs(found(page) - len(inside)) <= 1

    # The limits follow the pointer, the gallery follows them.
    becomes(page, beside, expected=True)
    low, high = limits()
    becomes(page, lambda: all(low - 0.01 <= value <= high + 0.01 for value in shown_scores(page)), expected=True)
    page.locator("#low").fill("0.25")
    page.locator("#low").press("Tab")
    page.locator("#high").fill("0.75")
    page.locator("#high").press("Enter")
    becomes(page, lambda: found(page), sum(0.25 <= value <= 0.75 for value in data.scores("candidate")))
    page.locator("#whole-range").click()
    becomes(page, lambda: found(page), N)


class Read:
    """The data of a page, as the scripts read them."""

    def __init__(self, page: "Page") -> None:
        self.data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")

    def scores(self, role: str, measure: str = "clipmem") -> list[float]:
        number = self.data["roles"].index(role)
        values = self.data["values"][measure][: self.data["listed"]]
        return [value for value, own in zip(values, self.data["role"], strict=False) if own == number]


def test_scatter_is_linked(visit: Visit) -> None:
    """An area filters the gallery, a point opens its sample, and an open sample is pointed at."""
    page = visit()
    x, y, width, height = box_of(page, "#scatter svg .mark-symbol")
    page.mouse.move(x - 2, y - 2)
    page.mouse.down()
    page.mouse.move(x + width / 5, y + height / 2, steps=4)
    page.mouse.move(x + width / 4, y + height + 2, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="no longer only: an area").wait_for()
    becomes(page, lambda: 0 < found(page) < N, expected=True)
    page.get_by_role("button", name="no longer only: an area").click()
    becomes(page, lambda: found(page), N)
    x, y, width, height = box_of(page, "#scatter svg .mark-symbol path:last-child")
    page.mouse.click(x + width / 2, y + height / 2)
    page.locator("dialog[open]").wait_for()
    eventually(
        page, "[...document.querySelectorAll('#scatter svg path')].some(p => p.getAttribute('stroke-width') === '2')"
    )
    page.locator("#detail").press("Escape")
    becomes(page, page.locator("dialog[open]").count, 0)
    page.locator("#colour").select_option("group")
    page.get_by_text("other groups").wait_for()
    assert EVIL[:20] in page.locator("#scatter-legend").inner_text()


def test_views_orders_and_search(visit: Visit) -> None:
    page = visit()
    to_samples(page)
    data = Read(page)
    candidates = data.scores("candidate")
    views = page.get_by_role("group", name="Views")
    highest, lowest = sorted(candidates, reverse=True), sorted(candidates)
    becomes(page, lambda: shown_scores(page)[:5], [round(value, 3) for value in highest[:5]])
    views.get_by_role("button", name="Least").click()
    becomes(page, lambda: shown_scores(page)[:5], [round(value, 3) for value in lowest[:5]])
    views.get_by_role("button", name="Random").click()
    becomes(page, lambda: shown_scores(page) != sorted(shown_scores(page)), expected=True)
    first = shown_scores(page)
    views.get_by_role("button", name="Random").click()
    becomes(page, lambda: shown_scores(page) != first, expected=True)
    assert found(page) == N
    views.get_by_role("button", name="Planted").click()
    becomes(page, lambda: found(page), N // 4)
    assert page.locator(".card .badge").count() == page.locator(".card").count()
    views.get_by_role("button", name="By group").click()
    groups = (
        "() => { const d = JSON.parse(document.getElementById('data').textContent);"
        " return [...document.querySelectorAll('.card')].map(c => d.group[c.dataset.row]) }"
    )

    def runs() -> list[int]:
        return [len(list(run)) for _, run in itertools.groupby(page.evaluate(groups))][:3]

    becomes(page, runs, [2, 2, 2])
    page.locator("#role").select_option("all")
    becomes(page, lambda: found(page), 4 * N)
    page.locator("#role").select_option("external")
    page.locator("#order").select_option("low")
    externals = sorted(data.scores("external"))
    becomes(page, lambda: shown_scores(page)[:3], [round(value, 3) for value in externals[:3]])
    page.locator("#role").select_option("all")
    page.keyboard.press("/")
    page.keyboard.type("RED picture")
    eventually(page, f"document.querySelector('#found b').textContent === '{4 * N // 5}'")
    page.locator("#words").fill("nothing says this")
    eventually(page, "document.querySelector('#found b').textContent === '0'")
    assert "nothing fits" in page.locator("#found").inner_text()


def test_scores_and_scales(visit: Visit) -> None:
    """Another column ranks, and a range divides; the legend, the cards and the chart say so."""
    page = visit()
    to_samples(page)
    data = Read(page)
    page.locator("#measure").select_option("other")
    eventually(page, "document.querySelector('#legend').textContent.includes('candidate −')")
    becomes(page, lambda: shown_scores(page)[0], round(max(data.scores("candidate", "other")), 3))
    page.locator("#measure").select_option("clipmem")
    page.locator("#scale").select_option("union")
    both = data.scores("candidate") + data.scores("independent")
    width = max(both) - min(both)
    becomes(page, lambda: shown_scores(page)[0], round(max(data.scores("candidate")) / width, 3))
    assert f"= {width:.3f}" in page.locator("#scale-note").inner_text()
    page.locator("#legend", has_text=f"{0.3661 / width:.3f}").wait_for()
    # Half of what it was: the candidates reach from 0 to 1, the independent ones from -1 to 0.
    page.locator("#chart svg text", has_text="−0.4").first.wait_for()
    becomes(page, page.locator("#chart svg text", has_text="0.9").count, 0)


def test_marks_are_kept_and_exported(visit: Visit, tmp_path: Path) -> None:
    """By key and by button, over a reload, to a CSV that says which samples to reject, and back from it."""
    page = visit()
    to_samples(page)
    keys = Read(page).data["key"]
    first = page.locator(".card").first
    first.focus()
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("u")
    page.locator(".card").nth(2).get_by_role("button", name="accept").click()
    page.locator(".card").nth(3).get_by_role("button", name="accept").click()
    page.locator(".card").nth(3).get_by_role("button", name="accept").click()
    assert page.locator("dialog[open]").count() == 0
    page.get_by_role("button", name="Export marks (3)").wait_for()
    expected = [["key", "mark"], [keys[0], "reject"], [keys[1], "unsure"], [keys[2], "accept"]]

    def exported() -> list[list[str]]:
        with page.expect_download() as download:
            page.get_by_role("button", name="Export marks").click()
        assert download.value.suggested_filename == "marks.csv"
        path = tmp_path / "marks.csv"
        download.value.save_as(path)
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.reader(lines))

    assert exported() == expected
    page.reload()
    page.locator("html[data-drawn]").wait_for(state="attached")
    to_samples(page)
    page.get_by_role("button", name="Export marks (3)").wait_for()
    pressed = page.locator(".card").first.get_by_role("button", pressed=True)
    assert pressed.inner_text() == "reject"
    page.locator("#marked").select_option("reject")
    becomes(page, lambda: found(page), 1)
    page.locator("#marked").select_option("none")
    becomes(page, lambda: found(page), N - 3)
    page.evaluate("localStorage.clear()")
    page.reload()
    page.locator("html[data-drawn]").wait_for(state="attached")
    assert exported() == expected[:1]
    own = tmp_path / "own.csv"
    with own.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([*expected, ["no such key", "reject"], [keys[4], "no such mark"]])
    page.locator("#import").set_input_files(own)
    page.get_by_role("button", name="Export marks (3)").wait_for()
    assert exported() == expected


def test_marks_clean_the_data(visit: Visit, tmp_path: Path, small_model: Path) -> None:
    """From the page of a real run to `vestige clean`: what was rejected is gone, and nothing else."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(30):
        picture, caption = draw(number)
        # Needs quotes in a CSV, would be computed by a spreadsheet, and has signs that are taken for line ends.
        name = f'=1+1, "ü"\u2028\n{number:02d},reject'
        picture.save(pictures / f"{name}.png")
        (pictures / f"{name}.txt").write_text(caption, encoding="utf-8")
    config = RunConfig(
        data=DataConfig(source=f"folder:{pictures}"),
        design=DesignConfig(candidates=8, external=10),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=8, warmup_epochs=0),
    )
    execute(config, tmp_path / "run")
    page = visit(of=tmp_path / "run" / "report.html")
    to_samples(page)
    shown = [Read(page).data["key"][int(row)] for row in page.eval_on_selector_all(".card", ROWS)]
    given = ("reject", "accept", "unsure", "reject", "reject", "reject")
    for place, mark in enumerate(given):
        page.locator(".card").nth(place).get_by_role("button", name=mark).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export marks").click()
    marks = tmp_path / "marks.csv"
    download.value.save_as(marks)
    words = ["clean", tmp_path / "run", "--keys", marks, "--out", tmp_path / "cleaned"]
    assert cli.main([str(word) for word in words]) == 0
    before, after = (
        open_source(f"folder:{place}", **options)
        for place, options in ((pictures, {}), (tmp_path / "cleaned", {"links": "follow"}))
    )
    rejected = {key for key, mark in zip(shown, given, strict=False) if mark == "reject"}
    assert len(rejected) == 4
    assert set(after.keys()) == set(before.keys()) - rejected
    assert contents(after) == {key: facts for key, facts in contents(before).items() if key not in rejected}


def test_gallery_by_keyboard(visit: Visit) -> None:
    """Arrows move over all samples, though few cards exist at a time; Enter opens one, Escape comes back."""
    page = visit()
    to_samples(page)
    focused = "document.activeElement.getAttribute('aria-posinset')"
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowDown")
    becomes(page, lambda: int(page.evaluate(focused)) > 2, expected=True)
    page.keyboard.press("End")
    becomes(page, lambda: page.evaluate(focused), str(N))
    eventually(page, "document.activeElement.getBoundingClientRect().bottom <= 801")
    assert page.locator(".card").count() < N
    page.keyboard.press("ArrowLeft")
    becomes(page, lambda: page.evaluate(focused), str(N - 1))
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    assert page.locator("#detail-title").inner_text() == f"Sample {N - 1} of {N}"
    page.keyboard.press("ArrowRight")
    becomes(page, page.locator("#detail-title").inner_text, f"Sample {N} of {N}")
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    becomes(page, lambda: page.evaluate(focused), str(N))
    assert page.locator(".card:focus").get_attribute("data-marked") == "accept"
    page.keyboard.press("Home")
    becomes(page, lambda: page.evaluate(focused), "1")
    assert page.locator(".card[tabindex='0']").count() == 1


def test_sample_with_its_neighbours(visit: Visit) -> None:
    """Its texts, all its scores, and the samples nearest to it, which open in turn."""
    page = visit()
    to_samples(page)
    data = Read(page).data
    page.locator(".card").first.click(position={"x": 40, "y": 60})
    dialog = page.locator("dialog")
    row = int(page.locator(".card").first.get_attribute("data-row") or "")
    assert dialog.locator("table .strong").count() == 5
    assert "Nearest by image: 1.00" in dialog.inner_text()
    near = [int(button.get_attribute("data-row") or "") for button in dialog.locator("details[open] .neighbour").all()]
    assert near == [other for other, _ in data["neighbours"]["image"][row]]
    number = int(data["key"][row].rpartition("/")[2])
    numbers = [int(data["key"][other].rpartition("/")[2]) for other in near]
    assert sorted((other - number) % (4 * N) for other in numbers[:4]) == [1, 2, 4 * N - 2, 4 * N - 1]
    dialog.locator("details[open] .neighbour").first.click()
    dialog.locator(".facts dd", has_text=data["key"][near[0]].rpartition("/")[2]).first.wait_for()


def test_texts_of_the_data_are_text(visit: Visit) -> None:
    """Markup is shown as it is written, hidden characters are spelt out, nothing of it becomes an element."""
    page = visit(fragment="#reading")
    assert EVIL in page.locator(".warnings li").all_inner_texts()
    assert EVIL in (page.locator("pre").first.text_content() or "")
    assert page.locator("#reading").evaluate("details => details.open")
    assert page.locator(".further h2").all_inner_texts() == ["A curve", EVIL, "Text"]
    assert page.locator(".further td").all_inner_texts() == ["a cell"]
    page.locator("#role").select_option("all")
    to_samples(page)
    # Cards are drawn as they come near the screen.
    for shown in ("onerror", "⟨U+202E⟩"):
        page.locator(".card .caption", has_text=shown).first.wait_for()
    captions = page.locator(".card .caption").all_text_contents()
    assert EVIL in captions
    assert "⟨U+202E⟩فقط" in captions
    assert max(map(len, captions)) == LONGEST_CAPTION
    page.locator(".card", has_text="onerror").first.click(position={"x": 40, "y": 60})
    assert EVIL in page.locator("dialog .captions").inner_text()
    assert page.locator("img[src^=http], script[src], a[href^=http], [onerror]").count() == 0


SOUNDS = ("wav", "flac", "opus", "long")
FILMS = ("mp4", "webm", "gif")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of sounds and films of every kind, and of a picture that is none."""
    wave = tone(8_000, 0.5)
    media: dict[str, Mapping[Modality, bytes]] = {
        "wav": {Modality.AUDIO: soundfile_bytes(wave, 8_000, "WAV")},
        "flac": {Modality.AUDIO: soundfile_bytes(wave, 8_000, "FLAC")},
        "opus": {Modality.AUDIO: soundfile_bytes(wave, 8_000, "OGG", "OPUS")},
        "long": {Modality.AUDIO: soundfile_bytes(tone(16_000, 12.0), 16_000, "WAV")},
        "mp4": {Modality.VIDEO: film("mp4", "libx264", 30)},
        "webm": {Modality.VIDEO: film("webm", "libvpx", 30)},
        "gif": {Modality.VIDEO: animation(3)},
        "broken": {Modality.IMAGE: EVIL.encode()},
        "none": {},
    }
    scores = table(["candidate"] * len(media), [float(-row) for row in range(len(media))], keys=list(media))
    folder = tmp_path_factory.mktemp("heard")
    write(folder, scores, media=media.__getitem__)
    write(folder / "large one #1", scores, media=media.__getitem__, limits=ReportConfig(max_megabytes=0.001))
    return folder / "report.html"


@pytest.mark.parametrize("outside", [False, True], ids=["in the page", "beside the page"])
def test_every_medium_plays(visit: Visit, heard: Path, outside: bool) -> None:
    """Sounds and films state their length to the browser, stills have a size, and what is no medium says so."""
    of = heard.parent / "large one #1" / "report.html" if outside else heard
    assert (of.parent / "report_files").exists() is outside
    page = visit(1920, of=of)
    to_samples(page)
    assert page.locator("#cards audio").count() == len(SOUNDS)
    eventually(page, "[...document.querySelectorAll('#cards audio')].every(a => a.duration > 0)")
    lengths = page.eval_on_selector_all("#cards audio", "all => all.map(a => a.duration)")
    assert lengths == pytest.approx([0.5, 0.5, 0.5, 10.0], abs=0.1)
    sizes = page.eval_on_selector_all("#cards img", WIDTHS)
    assert len(sizes) == len(FILMS)
    assert min(sizes) > 60
    page.locator(".card").nth(list(SOUNDS).index("long")).locator(".caption").click()
    assert "the first 10 of 12.0 s" in page.locator("dialog figcaption").inner_text()
    page.keyboard.press("ArrowRight")
    for _ in ("mp4", "webm"):
        eventually(page, "document.querySelector('dialog video')?.duration > 1.1")
        assert page.locator("dialog video").evaluate("v => v.videoWidth") == 64
        page.keyboard.press("ArrowRight")
    assert "6 of 5 frames" in page.locator("dialog figcaption").inner_text()
    page.keyboard.press("ArrowRight")
    assert "not a readable picture" in page.locator("dialog .left").inner_text()
    page.keyboard.press("Escape")
    page.locator(".card").first.focus()
    page.keyboard.press("Space")
    eventually(page, "document.querySelector('#cards audio').currentTime > 0")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that were asked of it."""
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_policy_holds_where_escaping_would_not(
    browser: "Browser", report: Path, tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    """Were markup of the data ever to come through, it could neither run nor load."""
    server, asked = listener
    markup = (
        f"<img src='{server}/x.png' onerror='document.title = 1'><script>document.title = 2</script>"
        f"<script src='{server}/x.js'></script><link rel=stylesheet href='{server}/x.css'>"
        f"<iframe src='{server}/x.html'></iframe>"
    )
    slipped = tmp_path / "slipped.html"
    slipped.write_text(report.read_text(encoding="utf-8").replace("<main>", f"<main>{markup}"), encoding="utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(slipped.as_uri())
    page.locator("html[data-drawn]").wait_for(state="attached")
    assert page.title().startswith("What nano memorized of")
    assert len([text for text in said if "Content Security Policy" in text]) >= 5
    assert asked == []
    page.close()
