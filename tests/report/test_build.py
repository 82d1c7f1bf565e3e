"""The report: what it shows, that it shows nothing else, and that what it shows can do nothing."""

import base64
import hashlib
import io
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from report.cases import PLANTED, RETRIEVAL, ROLES, Page, mean, shown, summary, table, write
from vestige.errors import VestigeError
from vestige.report.claim import claim
from vestige.report.data import LONGEST_CAPTION, MOST_CAPTIONS
from vestige.report.histogram import chart, columns, histogram, outlines
from vestige.report.options import ReportConfig
from vestige.report.pictures import thumbnail
from vestige.report.section import Section
from vestige.report.text import brief, cut, interval, number, percent, small, visible
from vestige.report.track import Track

SIDE = 256
some = settings(max_examples=60, deadline=None, derandomize=True)


def test_page_is_well_formed(tmp_path: Path) -> None:
    """Elements nest, names are unique, links and labels lead somewhere, nothing is without a label."""
    page = write(tmp_path)
    assert page.source.startswith("<!doctype html>")
    assert page.source.rstrip().endswith("</html>")
    assert [e.attributes.get("lang") for e in page.find("html")] == ["en"]
    assert page.texts("h1") == ["What nano memorized of twemoji"]
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert {"roles", "samples", "cards", "reading", "configuration", "chart", "scatter"} <= set(ids)
    for element in page.elements:
        for name in ("aria-labelledby", "for"):
            assert element.attributes.get(name, ids[0]) in ids
        if (element.attributes.get("href") or "").startswith("#"):
            assert (element.attributes["href"] or "")[1:] in ids
        if element.tag == "th":
            assert element.attributes["scope"] in ("row", "col")
        if element.attributes.get("role") in ("region", "img", "group"):
            assert element.attributes["aria-label"]
        if element.tag == "svg":
            assert element.attributes["aria-hidden"] == "true"
    assert all(e.attributes["type"] == "button" for e in page.find("button"))


def test_numbers_are_those_of_the_summary(tmp_path: Path) -> None:
    page = write(tmp_path)
    rows = [[shown(cell) for cell in row.below if cell.tag in ("th", "td")] for row in page.find("tr", inside="roles")]
    assert [row for row in rows if len(row) == 4 and row[0] != "role"] == [
        ["candidate seen by f only", "0.366", "0.331 to 0.401", "395"],
        ["independent seen by g only", "−0.341", "−0.371 to −0.311", "395"],
        ["shared seen by f and g", "0.010", "0.009 to 0.011", "3,161"],
        ["external seen by neither", "−0.021", "−0.035 to −0.007", "396"],
    ]
    assert ["f", "14.2%", "44.1%"] in rows
    assert ["g", "13.9%", "43.0%"] in rows
    assert ["chance", "0.3%", "2.5%"] in rows
    findings = " ".join(page.texts("div", "panel"))
    assert "212 of 395 54% candidates" in findings
    assert "false discovery rate of 5%" in findings
    assert "AUC 0.871 0.814 to 0.924" in findings
    assert (
        "40 planted samples score 0.823 (0.751 to 0.895), the others of their role 0.251 (0.221 to 0.281)" in findings
    )
    facts = dict(zip(page.texts("dt", inside=None), page.texts("dd"), strict=True))
    assert facts["samples"] == "4,347"
    assert facts["groups"] == "4,211"
    assert facts["skipped"] == "7"
    assert facts["seed"] == "13"
    assert facts["models"] == "f, g"
    assert "the null is not centred" in page.texts("li")
    assert page.texts("pre") == ["seed: 13", "vestige run runs/one/config.yaml"]
    assert "Made by Vestige 0.1.0." in page.texts("footer")[0]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {},
            "f aligns the samples it alone saw better than g does, by 0.366 (95% interval 0.331 to 0.401); on samples"
            " both or neither saw, the difference is 0.010 and −0.021.",
        ),
        (
            {"roles": {"candidate": mean(9, 0.012, -0.02, 0.044), "external": mean(3, 0.001)}},
            "f does not clearly align the samples it alone saw better than g does: the difference is 0.012 (95%"
            " interval −0.020 to 0.044), and zero lies inside the interval; on samples neither saw, the difference"
            " is 0.001.",
        ),
        (
            {"roles": {"candidate": mean(9, -0.2, -0.3, -0.1)}, "models": ["one", "two"]},
            "one does not clearly align the samples it alone saw better than two does: the difference is −0.200 (95%"
            " interval −0.300 to −0.100).",
        ),
        (
            {"roles": {"candidate": mean(1, 0.4)}},
            "f does not clearly align the samples it alone saw better than g does: the difference is 0.400 (no"
            " interval can be given).",
        ),
        (
            {
                "roles": {"mixed": mean(90, 0.3, 0.2, 0.4), "external": mean(9, math.nan)},
                "models": ["a", "b", "c", "d"],
            },
            "Models align a sample better when they saw it in training, by 0.300 (95% interval 0.200 to 0.400).",
        ),
        (
            {"roles": {"mixed": mean(90, 0.1, 0.0, 0.2)}, "models": ["a", "b", "c"]},
            "Models do not clearly align a sample better when they saw it in training: the difference is 0.100 (95%"
            " interval 0.000 to 0.200), and zero lies inside the interval.",
        ),
        (
            {"roles": {"shared": mean(5, 0.0)}},
            "No sample that some models saw and others did not has a score: there is nothing to claim.",
        ),
    ],
)
def test_claim(tmp_path: Path, changed: dict, sentence: str) -> None:
    """A difference is claimed only where its interval is above zero."""
    told = summary(**changed)
    assert str(claim(told)) == sentence
    if not changed:
        assert write(tmp_path, told=told).texts("p", "claim") == [sentence]


LOADED = ("src", "href", "srcset", "action", "formaction", "poster", "data", "background", "xlink:href", "ping", "cite")


def test_nothing_can_be_loaded(tmp_path: Path) -> None:
    """No reference leads out of the file, and the policy of the page would not follow one."""
    page = write(tmp_path)
    for element in page.elements:
        assert element.tag not in ("iframe", "object", "embed", "base", "form", "audio", "video")
        for name in LOADED:
            assert re.match(r"#|data:", element.attributes.get(name) or "#"), element
        assert not any(name.startswith("on") for name in element.attributes)
        assert "style" not in element.attributes
    (style,) = page.find("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    (policy,) = [
        e.attributes["content"]
        for e in page.find("meta")
        if e.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in (policy or "").split("; "))
    scripts = [e for e in page.find("script") if "type" not in e.attributes]
    hashes = [base64.b64encode(hashlib.sha256(e.text.encode()).digest()).decode() for e in scripts]
    assert rules.pop("script-src").split() == [f"'sha256-{digest}'" for digest in hashes]
    assert rules.pop("img-src") == rules.pop("media-src") == "data:"
    assert rules.pop("style-src") == "'unsafe-inline'"
    assert rules == dict.fromkeys(("default-src", "connect-src", "base-uri", "form-action"), "'none'")
    # The policy counts from where it stands: nothing that it governs comes before it.
    assert page.source.index("Content-Security-Policy") < min(page.source.index(tag) for tag in ("<style", "<script"))


EVIL = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "' onmouseover='alert(1)",
    "</title></style></pre></textarea><!-- <b>bold</b>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "\u202egnp.exe \u2067\u2028\u2029\u0000\x1b[31m",
    "x" * 100_000,
    "word </p></li></ol> " * 5_000,
    "\ud800",
]


def test_untrusted_text_is_inert(tmp_path: Path) -> None:
    """Whatever the texts are, the elements, their attributes, the scripts and the policy are the same."""
    n = len(EVIL)
    # A lone surrogate cannot be stored in a table; in names and configuration it can come from a file system.
    texts = [text.replace("\ud800", "�") for text in EVIL]

    def page(text: list[str], everywhere: str) -> Page:
        scores = table(["candidate"] * n, [0.1 * row for row in range(n)], captions=text, keys=text)
        told = summary(
            model=everywhere,
            data=everywhere,
            models=[everywhere + "1", everywhere + "2"],
            warnings=[everywhere],
            version=everywhere,
            command=everywhere,
            retrieval=RETRIEVAL | {"models": {everywhere + "1": RETRIEVAL["models"]["f"]}},
        )
        return write(tmp_path, scores, told, config=everywhere)

    harmless = page([f"caption {row}" for row in range(n)], "harmless")
    for everywhere in EVIL:
        evil = page(texts, everywhere)
        for one, other in zip(harmless.elements, evil.elements, strict=True):
            assert one.tag == other.tag
            assert list(one.attributes) == list(other.attributes)
            for name, value in one.attributes.items():
                # Text alone comes from data: `content` is that of the generator.
                if name not in ("alt", "title") and value != "Vestige harmless":
                    assert value == other.attributes[name]
            if one.tag == "style" or (one.tag == "script" and "id" not in one.attributes):
                assert one.text == other.text
            elif one.tag == "script":
                assert not set("<>&\u2028\u2029") & set(other.text)
        assert sorted(evil.data["key"]) == sorted(texts)
        assert {EVIL[0], EVIL[1], EVIL[5], EVIL[7]} <= {caption for caption, *_ in evil.data["captions"]}


def test_series_are_those_that_have_a_score(tmp_path: Path) -> None:
    """Roles, and the planted samples as a series of their own."""
    page = write(tmp_path, table(score=[0.9, 0.1, None, 0.0, 0.02], planted=[True] + [False] * 4))
    drawn = page.json("charts")["histograms"]["clipmem"]
    assert {row["series"] for row in drawn["datasets"]["outlines"]} == {"candidate", "shared", "external", "planted"}
    assert page.data["series"]["clipmem"] == ["candidate", "shared", "external", "planted"]


def test_long_texts_are_cut_and_keys_are_not(tmp_path: Path) -> None:
    """A caption of 100 kB does not fill the page; a key is what marks are exported by, and stays whole."""
    texts = ["y" * 100_000, "z" * LONGEST_CAPTION, *[f"text {number}" for number in range(20)]]
    page = write(tmp_path, table(["candidate"], [0.2], keys=["k" * 9_999]), captions=texts)
    first, second, *rest = page.data["captions"][0]
    assert first == "y" * (LONGEST_CAPTION - 1) + "…"
    assert second == "z" * LONGEST_CAPTION
    assert rest == [f"text {number}" for number in range(MOST_CAPTIONS - 2)] + ["… and 12 more"]
    assert page.data["key"] == ["k" * 9_999]
    assert max(len(value or "") for e in page.elements for value in e.attributes.values()) < 5_000


def test_captions_are_those_the_models_saw(tmp_path: Path) -> None:
    """Of the samples where they are at hand, else of the table; blank ones are none."""
    scores = table(["candidate"], [0.2], captions=["of the table"])
    assert write(tmp_path, scores, captions=["one", " ", "two"]).data["captions"] == [["one", "two"]]
    assert write(tmp_path, scores).data["captions"] == [["of the table"]]
    assert write(tmp_path, scores, media=None).data["captions"] == [["of the table"]]


def test_samples_are_ranked_by_role(tmp_path: Path) -> None:
    """Candidates from the highest score down, then independent ones, then the null; no score comes last."""
    score = [0.5, math.nan, 0.9, None, -0.1, 0.5, math.inf, 0.2, 7.0, -7.0]
    roles = ["candidate"] * 8 + ["independent", "external"]
    page = write(tmp_path, table(roles, score))
    order = [2, 0, 5, 7, 4, 1, 3, 6, 8, 9]
    assert page.listed() == [f"key-{row}" for row in order]
    assert page.data["values"]["clipmem"] == [0.9, 0.5, 0.5, 0.2, -0.1, None, None, None, 7.0, -7.0]
    assert page.data["totals"] == {"candidate": 8, "external": 1, "independent": 1}
    assert dict(zip(page.texts("dt"), page.texts("dd"), strict=False))["without a score"] == "3"


def test_every_score_of_the_table_can_be_chosen(tmp_path: Path) -> None:
    """The metric of the report first; with intervals over models (Student's t) where there are several, else over
    held-out samples; with the ranges of SPEC 3 for each that is a contrast.
    """
    scores = table(["candidate", "candidate", "independent"], [0.9, 0.1, -0.5], heldout_se=[0.1, None, math.nan])
    more = {
        "multimem_image_text": [0.3, 0.1, math.nan],
        "multimem_image_text_se": [0.1, 0.2, 0.3],
        "odd_score": [None, None, None],
    }
    for name, values in more.items():
        scores = scores.append_column(name, [values])
    scores = scores.append_column("n_in", [[2, 1, 1]]).append_column("n_out", [[2, 1, 1]])
    data = write(tmp_path, scores.cast(scores.schema)).data
    titles = {measure["name"]: measure["title"] for measure in data["measures"]}
    assert titles == {
        "clipmem": "CLIPMem",
        "multimem_image_text": "multimem image–text".replace("multimem", "MultiMem"),
        "memorization": "seen minus unseen",
        "align_in": "alignment, seen",
        "align_out": "alignment, unseen",
    }
    clipmem, pair, *_ = data["measures"]
    assert clipmem["ranges"] == {"candidate": [0.1, 0.9], "union": [-0.5, 0.9]}
    assert (clipmem["over"], pair["over"]) == ("held-out samples", "models")
    assert data["errors"]["clipmem"] == [pytest.approx(0.195996, rel=1e-4), None, None]
    assert data["errors"]["multimem_image_text"] == [pytest.approx(0.430265, rel=1e-4), None, None]
    assert data["measures"][-1]["ranges"] == {}
    assert data["means"]["clipmem"]["candidate"] == [0.3661, 0.3312, 0.4011]
    assert data["means"]["multimem_image_text"]["candidate"][0] == pytest.approx(0.2)


def test_scatter_is_of_two_models_or_of_seen_and_unseen(tmp_path: Path) -> None:
    scores = table(["candidate"] * 2, [0.5, 0.25])
    page = write(tmp_path, scores)
    assert (page.data["axes"], page.data["x"]) == (["align_out", "align_in"], [0.25, 0.5])
    both = scores.append_column("align_f", [[0.4, 0.5]]).append_column("align_g", [[0.1, 0.2]])
    page = write(tmp_path, both)
    assert (page.data["x"], page.data["y"]) == ([0.1, 0.2], [0.4, 0.5])
    assert page.json("charts")["axes"] == ["alignment under g", "alignment under f"]


def test_samples_some_of_many_models_saw(tmp_path: Path) -> None:
    """A design of many models has no candidates: its mixed samples are ranked."""
    told = summary(roles={"mixed": mean(2, 0.3, 0.2, 0.4)}, models=["a", "b", "c"])
    page = write(tmp_path, table(["mixed", "mixed", "shared"], [0.4, 0.2, None]), told)
    assert page.listed("mixed") == ["key-0", "key-1"]
    assert page.data["ranked"] == "mixed"
    assert "mixed seen by some of the models" in page.texts("th")


@pytest.mark.parametrize(
    "scores",
    [
        table([], []),
        table(["shared", "candidate", "candidate"], [None, math.nan, math.inf]),
        table(["candidate"], [0.25]),
        table(["shared"] * 3, [0.0, 0.0, 0.0]),
        table(["candidate"] * 2, [0.3, 0.3], captions=[None, ""], planted=[None, None]),
    ],
    ids=["no samples", "no scores", "one sample", "one value", "no captions"],
)
def test_little_or_nothing_to_show(tmp_path: Path, scores) -> None:
    nothing = {"planted": None, "memorized": None, "retrieval": None, "warnings": [], "roles": {}}
    for told in (
        summary(**nothing),
        summary(**nothing | {"roles": {"candidate": mean(0, None), "shared": mean(1, math.nan)}}),
    ):
        page = write(tmp_path, scores, told)
        drawn = any(value is not None and math.isfinite(value) for value in scores["clipmem"].to_pylist())
        assert (page.json("charts")["histograms"]["clipmem"] is not None) is drawn
        assert bool(len(scores)) is not ("There is no sample to show." in page.texts("p", "none"))
        for text in (page.texts("main")[0], page.texts("header")[0]):
            assert not re.search(r"\b(nan|inf|None|null)\b", text.replace("the null", ""))
        assert not page.find("section", "warnings")
        assert "Planted faults" not in page.texts("main")[0]


def test_columns_and_entries_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scores: found no column caption, sslmem among key, group"):
        write(tmp_path, table().drop_columns(["caption"]), summary(metric="sslmem"))
    told = summary()
    del told["retrieval"]
    with pytest.raises(ValueError, match="found no retrieval"):
        write(tmp_path, told=told)
    with pytest.raises(ValueError, match="evaluation: found no column task, data"):
        write(tmp_path, evaluation=table().select(["key"]).rename_columns(["model"]))
    with pytest.raises(ValueError, match="section 'A': expected a specification or html, found neither"):
        Section("A", "")
    with pytest.raises(VestigeError, match=r"report.samples must be at least 1, not 0"):
        ReportConfig(samples=0)
    assert list(tmp_path.iterdir()) == []


def test_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be made, or written to the end, leaves the one that was there, and nothing else."""
    out = tmp_path / "deep" / "report.html"
    page = write(out.parent)
    before = out.read_bytes()

    def broken(key: str):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        write(out.parent, media=broken)
    assert out.read_bytes() == before

    def full(handle: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        write(out.parent, told=summary(model="other"))
    monkeypatch.undo()
    assert out.read_bytes() == before
    write(out.parent, told=summary(model="other"))
    assert out.read_bytes() != before
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert write(tmp_path).source == page.source


@pytest.mark.parametrize("size", [(1, 1), (72, 72), (4000, 1000), (9000, 1), (2, 7000)])
def test_thumbnails_are_our_own(size: tuple[int, int]) -> None:
    """A small WebP of the pixels; nothing of the file comes with it."""
    picture = Image.new("RGB", size, (10, 200, 90))
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "secret place")
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=told, exif=exif, icc_profile=b"secret place" * 20)
    opened = Image.open(file)
    opened.load()
    opened.info["xmp"] = b"secret place"
    encoded, width, height = thumbnail(opened, SIDE)
    assert b"secret" not in encoded
    small = Image.open(io.BytesIO(encoded))
    assert small.format == "WEBP"
    assert small.size == (width, height)
    assert max(small.size) == min(SIDE, max(size))
    assert not {"exif", "icc_profile", "xmp"} & set(small.info)
    assert np.abs(np.asarray(small.convert("RGB")).reshape(-1, 3).mean(0) - [10, 200, 90]).max() < 4
    assert opened.size == size


finite = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 6))


@some
@given(
    st.dictionaries(
        st.sampled_from([*ROLES, "planted"]), st.lists(finite | st.sampled_from([math.nan, math.inf])), max_size=4
    )
)
def test_histogram(series: dict[str, list[float]]) -> None:
    """Every score is in one bin, the bins are equal, zero is an edge, each role adds up to one."""
    found = histogram({name: np.array(scores, dtype=float) for name, scores in series.items()})
    known = {name: [s for s in scores if math.isfinite(s)] for name, scores in series.items()}
    known = {name: scores for name, scores in known.items() if scores}
    if found is None:
        assert not known
        return
    assert list(found.counts) == list(known)
    widths = np.diff(found.edges)
    assert widths == pytest.approx(widths[0])
    assert len(widths) <= 100
    if found.edges[0] <= 0 <= found.edges[-1]:
        assert np.abs(found.edges).min() < 1e-9
    for name, scores in known.items():
        expected = [0] * len(widths)
        for score in scores:
            place = max(k for k in range(len(widths)) if found.edges[k] <= score or k == 0)
            expected[place] += 1
        assert found.counts[name].tolist() == expected
        assert sum(found.counts[name]) == len(scores)
    areas: dict[str, float] = {}
    for (name, _), run in itertools.groupby(outlines(found), key=lambda row: (row["series"], row["run"])):
        corners = list(run)
        assert corners[0]["share"] == corners[-1]["share"] == 0
        assert all(corner["share"] > 0 for corner in corners[1:-1])
        areas[name] = areas.get(name, 0) + sum(
            left["share"] * (right["score"] - left["score"]) for left, right in itertools.pairwise(corners)
        )
    assert areas == {name: pytest.approx(widths[0], rel=1e-3) for name in known}


def test_histogram_says_what_a_bin_holds() -> None:
    found = histogram({"candidate": np.array([0.1, 0.1, 0.1, 1.0]), "shared": np.array([0.1])})
    assert found is not None
    first, *_, last = columns(found)
    assert (first["low"] <= 0.1 < first["high"], first["candidate"], first["shared"]) == (
        True,
        "75.0% (3)",
        "100.0% (1)",
    )
    assert (last["low"] <= 1.0 < last["high"], last["candidate"], last["shared"]) == (True, "25.0% (1)", "0.0% (0)")
    assert len(columns(found)) == 2


def test_histogram_is_a_chart() -> None:
    """Vega-Lite compiles it; the colours are those the style has for both themes; planted is a series of its own."""
    found = histogram({"candidate": np.array([0.1, 0.5]), "planted": np.array([0.5]), "external": np.array([])})
    assert found is not None
    specification = chart(found)
    compiled = vl_convert.vegalite_to_vega(specification)
    assert {"outlines", "columns"} <= {data["name"] for data in compiled["data"]}
    assert {"var(--candidate)", "var(--planted)"} <= set(re.findall(r"var\(--\w+\)", json.dumps(compiled)))
    # The width is that of the page, not a number.
    assert "width" in {signal["name"] for signal in compiled["signals"]}


def test_style_has_a_colour_for_every_series_and_theme(tmp_path: Path) -> None:
    style = write(tmp_path).find("style")[0].text
    for name in ("candidate", "mixed", "independent", "shared", "external", "planted", "muted", "line"):
        assert len(re.findall(rf"--{name}: #", style)) == 2, name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "−0.500"),
        (-0.0004, "0.000"),
        (-0.0, "0.000"),
        (1234.5678, "1,234.568"),
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "–"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_other_texts() -> None:
    assert percent(0.1234) == "12.3%"
    assert percent(None) == "–"
    assert interval(-0.1, 0.25) == "−0.100 to 0.250"
    assert interval(None, 0.25) == interval(0.1, math.nan) == "–"
    assert [small(q) for q in (0.0009999, 0.001, 0.5, None)] == ["< 0.001", "0.001", "0.500", "–"]
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert brief("runs/a/very/long/way/to/model.pt", 16) == "runs/…o/model.pt"
    assert brief("runs/model.pt", 16) == "runs/model.pt"
    assert visible("a\r\nb\tc\x7f") == "a\nb\tc⟨U+007F⟩"
    assert visible(3) == 3


def test_track() -> None:
    scale = Track.of([0.5, None, -0.5])
    assert [scale.place(value) for value in (-0.5, 0.0, 0.5)] == [3.0, 50.0, 97.0]
    assert Track.of([]).place(0.0) == Track.of([2.0]).place(2.0) == 50.0


def test_planted_numbers_may_be_unknown(tmp_path: Path) -> None:
    unknown = {name: None for name in PLANTED if name.endswith(("low", "high"))}
    page = write(tmp_path, told=summary(planted=PLANTED | unknown))
    assert "40 planted samples score 0.823 (–), the others of their role 0.251 (–)." in page.texts("p")
