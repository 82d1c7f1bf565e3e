"""Wesnoth's units, and the language they are written in."""

import io

import pytest
from PIL import Image

from vestige.data import open_source
from vestige.data.builtin.fetch import fetch
from vestige.data.builtin.wesnoth_units import ranged, timed
from vestige.data.builtin.wml import MarkupError, expand, parse
from vestige.errors import VestigeError
from vestige.samples import Modality

CORE = "usr/share/games/wesnoth/1.16/data/core"
MACROS = """
#define HITS SOUND
[if]
    hits=yes
    [attack_sound_frame]
        sound={SOUND}
    [/attack_sound_frame]
[/if]
[else]
    [attack_sound_frame]
        sound=miss.ogg
    [/attack_sound_frame]
[/else]
#enddef
#define SWORDS
none.ogg,sword-[1~2].ogg #enddef
"""
UNITS = '''
#textdomain wesnoth-units
[unit_type]
    id=Archer
    name= _ "female^Elf Archer"  # a comment
    race=elf
    image="units/archer.png"
    profile="portraits/archer.png~CROP(0,0,2,2)"
    description= _ "Shoots ""well""" + _ "
, and often."
    [attack_anim]
        [filter_attack]
            name=bow
        [/filter_attack]
        [frame]
            image="units/archer.png:65"
        [/frame]
        {HITS {SWORDS}}
        [frame]
            image="units/archer-[1~3].png~FL():[75*2,100]"
        [/frame]
    [/attack_anim]
    [defend]
        [frame]
            image="units/archer.png:50"
        [/frame]
    [/defend]
    [female]
        [idle_anim]
            [frame]
                image="units/archer-[3~1].png:10"
            [/frame]
        [/idle_anim]
    [/female]
[/unit_type]
[unit_type]
    id=Captain
    [base_unit]
        id=Archer
    [/base_unit]
    name=_"Captain"
    profile=portraits/captain.png
[/unit_type]
[unit_type]
    id=Fog
    name=Fog
[/unit_type]
[unit_type]
    id=Escape
    name=Escape
    description=x
    profile="../../../secret.png"
[/unit_type]
'''


def png(side: int, color: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGBA", (side, side), color).save(held, "PNG")
    return held.getvalue()


@pytest.fixture
def units(registry):
    colors = {"": "red", "-1": "green", "-2": "blue", "-3": "yellow"}
    files = {f"images/units/archer{number}.png": png(4, color) for number, color in colors.items()}
    files |= {
        "images/units/archer-2.png": png(8, "#0000ff80"),
        "images/portraits/archer.png": png(9, "pink"),
        "images/portraits/captain.png": png(9, "grey"),
        "sounds/sword-1.ogg": b"swish",
        "macros/sounds.cfg": MACROS.encode(),
        "units.cfg": b"[units]\n{core/units/}\n[/units]\n",
        "units/elves.cfg": UNITS.encode(),
        "units/broken.cfg": b"[unit_type]\nid=x\n[/unit]\n",
        "terrain.cfg": b"",
    }
    registry.deb("wesnoth-1.16-data", {f"{CORE}/{name}": data for name, data in files.items()})
    return fetch("wesnoth") / CORE


def test_units_with_what_they_have(units):
    source = open_source("wesnoth")
    assert list(source.keys()) == ["Archer", "Captain", "Fog", "Escape"]
    archer, captain, fog, escape = source.samples(source.keys())
    assert set(archer.media) == set(captain.media) == {Modality.IMAGE, Modality.VIDEO, Modality.AUDIO}
    assert archer.captions == ('Shoots "well" , and often.', "Elf Archer")
    assert archer.label == "elf"
    assert archer.media[Modality.IMAGE] == units / "images/portraits/archer.png"
    assert archer.media[Modality.AUDIO] == units / "sounds/sword-1.ogg"
    assert captain.media[Modality.IMAGE] == units / "images/portraits/captain.png"
    assert captain.captions[1] == "Captain"
    # The captain moves as the archer does.
    assert captain.group == archer.group
    skipped = dict(source.skipped())
    assert "closes [unit_type]" in skipped["units/broken.cfg"]
    assert Modality.IMAGE not in fog.media
    assert Modality.IMAGE not in escape.media
    assert {"Fog", "Escape"}.isdisjoint(skipped)


def test_films(units):
    archer = next(open_source("wesnoth").samples(["Archer"]))
    with Image.open(io.BytesIO(archer.media[Modality.VIDEO])) as film:
        assert film.n_frames == 4
        seen = []
        for frame in range(4):
            film.seek(frame)
            assert film.size == (8, 8)
            picture = film.convert("RGB")
            seen.append((film.info["duration"], picture.getpixel((4, 4)), picture.getpixel((0, 0))))
    white, half = (255, 255, 255), (127, 127, 255)
    assert seen == [
        (65, (255, 0, 0), white),
        (75, (0, 128, 0), white),
        (75, half, half),
        (100, (255, 255, 0), white),
    ]


def test_clips(units):
    source = open_source("wesnoth", samples="clips")
    assert list(source.keys()) == [
        *("Archer/attack_anim-0", "Archer/idle_anim-2", "Captain/attack_anim-0", "Captain/idle_anim-2"),
    ]
    attack, idle = source.samples(["Archer/attack_anim-0", "Archer/idle_anim-2"])
    assert attack.captions[0] == "Elf Archer, attack: bow"
    assert attack.generated == {"caption 1": "a template"}
    assert Modality.AUDIO in attack.media
    assert Modality.AUDIO not in idle.media
    assert attack.group == idle.group
    with pytest.raises(VestigeError, match="samples is one of units, clips"):
        open_source("wesnoth", samples="x")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.png", ["a.png"]),
        ("a[1~4].png", ["a1.png", "a2.png", "a3.png", "a4.png"]),
        ("a[08~10].png", ["a08.png", "a09.png", "a10.png"]),
        ("a[1~2,2*2,x].png", ["a1.png", "a2.png", "a2.png", "a2.png", "ax.png"]),
        ("[3~1]", ["3", "2", "1"]),
        ("[1,2]-[a,b]", ["1-a", "2-b"]),
    ],
)
def test_ranges(text, names):
    assert ranged(text) == names


def test_times():
    assert list(timed("a-[1~3].png~CROP(0,0,1,2):[75*2,100], b.png:50,c.png")) == [
        *(("a-1.png", 75), ("a-2.png", 75), ("a-3.png", 100), ("b.png", 50), ("c.png", 0)),
    ]


def test_ranges_without_measure_are_cut():
    assert len(ranged("a[1~999999999].png")) == 1000
    assert len(ranged("a[1*999999999].png")) == 1000


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("#define A X Y\n<{X}|{Y}>#enddef\n{A 1 (2 3)}", "\n<1|2 3>"),
        ('#define A X\nk={X}\n#enddef\n{A "b c"}', '\nk="b c"'),
        ("#define B\nb#enddef\n#define A X\n{X}{B}#enddef\n{A {B}}", "\n\nbb"),
        ("#define A X\n#arg Y\ndefault\n#endarg\n{X}{Y}#enddef\n{A 1}{A 1 Y=2}", "\n1default12"),
        ("#define A\na#enddef\n#undef A\n{A}x", "\n\nx"),
        ("#ifdef NO\na\n#else\nb\n#endif\n", "\nb\n\n"),
        ("#ifndef NO\na\n#ifdef NO\nb\n#endif\n#endif", "\na\n\n"),
        ('k="# no comment" # a comment', 'k="# no comment" '),
        ("k=<<{raw} # text>>", "k=<<{raw} # text>>"),
        ("{core/units/}{UNKNOWN 1}x", "x"),
    ],
)
def test_macros(text, expanded):
    assert expand(text, {}) == expanded


@pytest.mark.parametrize(
    "text",
    [
        "#define A\n{A}#enddef\n{A}",
        "#define A\n{B}{B}#enddef\n#define B\n{A}{A}#enddef\n{A}",
        *("{open", "#define A\n", "#ifdef A\n"),
    ],
)
def test_macros_without_end(text):
    with pytest.raises(MarkupError):
        expand(text, {})


def test_macros_that_grow_without_measure():
    lines = ["#define M0\n" + "x" * 1000 + "#enddef"]
    lines += [f"#define M{n}\n" + f"{{M{n - 1}}}" * 10 + "#enddef" for n in range(1, 9)]
    with pytest.raises(MarkupError, match="more than 50 MB"):
        expand("\n".join([*lines, "{M8}"]), {})


def test_markup():
    tree = parse('a,b=1, 2\n[t]\nk="x ""y"" z"\n[+s]\n[/s]\n[/t]\n')
    assert tree.attributes == {"a": "1", "b": "2"}
    assert tree.tags[0].attributes == {"k": 'x "y" z'}
    assert [tag.name for tag in tree.tags[0].tags] == ["s"]


@pytest.mark.parametrize("text", ["[a]\n", "[/a]\n", "[a]\n[/b]\n", 'k="open\n', "]\n"])
def test_markup_that_is_not_well_formed(text):
    with pytest.raises(MarkupError):
        parse(text)


def test_the_real_units(real):
    source = real("wesnoth")
    assert len(source) == 279
    complete = [len(sample.media) == 3 and len(sample.captions) == 2 for sample in source.samples(source.keys())]
    assert sum(complete) == 204
    clips = real("wesnoth", samples="clips")
    assert len(clips) == 681
    samples = list(clips.samples(clips.keys()[::20]))
    for sample in samples:
        with Image.open(io.BytesIO(sample.media[Modality.VIDEO])) as film:
            assert film.n_frames >= 3
