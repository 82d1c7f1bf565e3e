"""The page that compares two runs: what it says, that texts of the data are text, and that a browser loads nothing."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from report.cases import Page
from report.conftest import EVIL
from report.test_browser import FLAGS
from vestige.comparison import compare
from vestige.finished import read_run
from vestige.report.compare import build_comparison, claim
from vestige.report.text import number


@pytest.fixture(scope="module")
def page_of(made_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "compare.html"
    a = read_run(made_runs / "a")
    build_comparison(compare(a, read_run(made_runs / "b")), out, samples=a.samples())
    return out


def test_numbers_are_those_of_the_comparison(made_runs: Path, page_of: Path) -> None:
    found = compare(read_run(made_runs / "a"), read_run(made_runs / "b"))
    page = Page(page_of.read_text(encoding="utf-8"))
    roles = " ".join(page.texts("tr", inside="roles"))
    change = found.changes["candidate"]
    assert change is not None
    for one in [own for own in found.roles["candidate"] if own] + [{"mean": change.mean, "low": change.low}]:
        assert number(one["mean"]) in roles
        assert number(one["low"]) in roles
    assert found.agreement is not None
    assert number(found.agreement.rho) in " ".join(page.texts("p", inside="samples"))
    rose, fell = found.both.moved(12)
    for name, places in (("rose", rose), ("fell", fell)):
        assert len(page.find("li", inside=name)) == len(places) > 0
        assert page.texts("b", inside=name) == [number(found.both.change[place]) for place in places]
        assert len(page.find("img", inside=name)) == len(places)
    assert page.texts("td", inside="settings") == ["0.1", "3.0"]
    assert any("training.weight_decay" in row for row in page.texts("tr", inside="mitigation"))
    assert any("retrieval" in row for row in page.texts("tr", inside="utility"))


def test_texts_of_the_data_are_text(page_of: Path) -> None:
    source = page_of.read_text(encoding="utf-8")
    page = Page(source)
    assert "<img src=https" not in source
    assert any(EVIL in text for text in page.texts("p", of="caption"))
    assert all((image.attributes["src"] or "").startswith("data:image/webp;base64,") for image in page.find("img"))
    assert not page.find("a", inside="rose")
    assert "\u202e" not in source
    policy = next(own for own in page.find("meta") if own.attributes.get("http-equiv"))
    assert "default-src 'none'" in (policy.attributes["content"] or "")


def test_claims_no_more_than_the_interval(made_runs: Path) -> None:
    from dataclasses import replace

    found = compare(read_run(made_runs / "a"), read_run(made_runs / "b"))
    assert found.change is not None
    for low, high, said in ((0.1, 0.2, "more than A"), (-0.2, -0.1, "less than A"), (-0.1, 0.1, "not clearly")):
        assert said in claim(replace(found, change=replace(found.change, low=low, high=high)))
    assert "only the means" in claim(replace(found, change=None))


def test_without_data_there_are_no_pictures(runs: Path, tmp_path: Path) -> None:
    a = read_run(runs / "a")
    out = tmp_path / "compare.html"
    build_comparison(compare(a, read_run(runs / "b")), out)
    page = Page(out.read_text(encoding="utf-8"))
    assert not page.find("img")
    assert "no picture" in page.texts("span", of="none")


def test_a_browser_draws_it_and_asks_for_nothing(page_of: Path) -> None:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH")
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    address = page_of.as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for width in (320, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: said.append(f"error: {error}"))
            page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
            page.on(
                "request",
                lambda request: None if request.url.startswith((address, "data:")) else said.append(request.url),
            )
            page.goto(address)
            page.wait_for_function("[...document.querySelectorAll('.chart')].every(c => c.querySelector('svg'))")
            assert page.locator(".chart svg").count() == 5
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sizes = page.eval_on_selector_all("img", "all => all.map(i => i.complete ? i.naturalWidth : 0)")
            assert sizes
            assert min(sizes) > 0
            page.close()
        browser.close()
    assert said == []
