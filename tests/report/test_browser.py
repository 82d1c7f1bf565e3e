"""The report in a browser: it draws, it fits, it asks for nothing, and it can be used from the keyboard."""

import importlib.util
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from report.cases import summary, table, write

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
    scores = table(roles, score, captions=captions, keys=keys, planted=[row % 16 == 0 for row in range(4 * N)])
    rates = {f"{side}@{k}": 0.9876 for side in "TI" for k in (1, 5, 10, 50)}
    wide = {"n": 12_345, "pair": ["image", "text"], "chance": rates, "models": {"left-" * 30: rates, "right": rates}}
    told = summary(
        retrieval=wide, data="folder:" + "long-" * 60, warnings=[EVIL, "w" * 500], command="vestige run " + "r" * 500
    )
    folder = tmp_path_factory.mktemp("report")
    write(folder, scores, told, config=f"data: {EVIL}\nlong: {'c' * 5_000}\n")
    return folder / "report.html"


@pytest.fixture
def visit(browser: "Browser", report: Path) -> Iterator[Visit]:
    """Open the report at a width; whatever it asks for, says on the console or throws is a failure in the end."""
    said: list[str] = []
    contexts = []

    def open_page(width: int = 1280, *, fragment: str = "") -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="light")
        contexts.append(context)
        context.route("http*://**", lambda route: route.abort())
        page = context.new_page()
        address = report.as_uri()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((address, "data:")) else said.append(f"request: {request.url}")
            ),
        )
        page.goto(address + fragment)
        page.locator("#chart svg").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("width", [320, 375, 1280, 1920])
def test_fits_the_screen(visit: Visit, width: int) -> None:
    """Nothing scrolls sideways, folded or unfolded; the histogram and the pictures are there."""
    page = visit(width)
    for unfold in ("details => details", "details => details.open = true"):
        page.eval_on_selector_all("details", f"all => all.forEach({unfold})")
        assert page.evaluate("document.documentElement.scrollWidth") == width
    drawn = page.locator("#chart svg").bounding_box()
    assert drawn is not None
    assert drawn["width"] > 0.5 * min(width, 1000) - 60
    assert drawn["height"] > 200
    assert page.locator("#chart svg path[stroke*='candidate']").count() > 0
    sizes = page.eval_on_selector_all("img", "all => all.map(i => i.complete ? i.naturalWidth : 0)")
    assert len(sizes) == 48
    assert min(sizes) > 0
    tallest = page.eval_on_selector_all(".card", "all => Math.max(...all.map(c => c.getBoundingClientRect().height))")
    assert tallest < 420


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
    dark = colours()
    assert all(one != other for one, other in zip(light, dark, strict=True))
    page.emulate_media(media="print")
    assert colours() == light
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.eval_on_selector_all("details", "all => all.every(d => d.open)")


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
    page.wait_for_function("!document.querySelector(\"#chart svg path[stroke*='shared']\")")
    page.keyboard.press("Enter")
    assert shared.get_attribute("aria-pressed") == "true"
    page.wait_for_function("document.querySelector(\"#chart svg path[stroke*='shared']\")")
    assert lines.count() > 0
    assert len(page.locator("#chart svg").inner_html()) == len(before)


def test_pointer_on_a_bin(visit: Visit) -> None:
    page = visit()
    box = page.locator("#chart svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + 120)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    for name in ("score", "candidate", "independent", "shared", "external", "planted"):
        assert name in tooltip.inner_text()


def test_whole_captions(visit: Visit) -> None:
    """Three lines of a caption are shown, or all of it."""
    page = visit()
    tallest = "all => Math.max(...all.map(e => e.getBoundingClientRect().height))"
    clamped = page.eval_on_selector_all(".caption", tallest)
    page.get_by_label("whole captions and keys").check()
    assert page.eval_on_selector_all(".caption", tallest) > 3 * clamped
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_texts_of_the_data_are_text(visit: Visit) -> None:
    page = visit(fragment="#reading")
    assert EVIL in page.locator(".warnings li").all_inner_texts()
    assert EVIL in (page.locator("pre").first.text_content() or "")
    assert page.locator("img[src^=http], script[src], a[href^=http]").count() == 0
    assert page.locator("#reading").evaluate("details => details.open")


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
    page.locator("#chart svg").wait_for()
    assert page.title().startswith("What nano memorized of")
    assert len([text for text in said if "Content Security Policy" in text]) >= 5
    assert asked == []
    page.close()
