"""A package registry in a folder, with clients that copy from it: what arrives is laid out as the real packages are."""

import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

APT = """#!/bin/sh
echo "apt-get $*" >> "{log}"
[ -e "{shelf}/$3.deb" ] || {{ echo "E: Unable to locate package $3" >&2; exit 100; }}
cp "{shelf}/$3.deb" "$3_1_all.deb"
"""
NPM = """#!/bin/sh
echo "npm $*" >> "{log}"
name=$(echo "$2" | tr '/@' '__')
[ -e "{shelf}/$name.tgz" ] || {{ echo "npm error code E404" >&2; echo "npm error 404 no $2" >&2; exit 1; }}
for word in "$@"; do case "$word" in --pack-destination=*) to="${{word#*=}}";; esac; done
cp "{shelf}/$name.tgz" "$to/"
"""


@dataclass(frozen=True)
class Registry:
    """The shelf that the clients copy from, and the log of what they were asked."""

    folder: Path

    @property
    def shelf(self) -> Path:
        return self.folder / "shelf"

    @property
    def clients(self) -> Path:
        return self.folder / "clients"

    def calls(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def open(self) -> None:
        self.shelf.mkdir(parents=True)
        self.clients.mkdir()
        for name, script in (("apt-get", APT), ("npm", NPM)):
            client = self.clients / name
            client.write_text(script.format(log=self.folder / "log", shelf=self.shelf))
            client.chmod(0o755)

    def deb(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        links: Mapping[str, str] | None = None,
        version: str = "9.9-1",
        compression: str = "xz",
        called: str | None = None,
    ) -> Path:
        """Put a Debian package on the shelf: an ar archive of two tar archives, as dpkg-deb writes it."""
        control = f"Package: {called or name}\nVersion: {version}\nDescription: small\n a second line\n".encode()
        data = _compressed(_tar({f"./{path}": held for path, held in files.items()}, links or {}), compression)
        members = {
            "debian-binary": b"2.0\n",
            "control.tar.xz": _compressed(_tar({"./control": control}, {}), "xz"),
            f"data.tar.{compression}": data,
        }
        archive = b"!<arch>\n"
        for member, held in members.items():
            archive += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(held):<10}`\n".encode()
            archive += held + b"\n" * (len(held) % 2)
        path = self.shelf / f"{name}.deb"
        path.write_bytes(archive)
        return path

    def npm(self, name: str, version: str, files: Mapping[str, bytes]) -> Path:
        """Put an npm package on the shelf: a tgz with all below `package/`."""
        path = self.shelf / f"{f'{name}@{version}'.replace('/', '_').replace('@', '_')}.tgz"
        path.write_bytes(_compressed(_tar(files, {}), "gz"))
        return path

    def wheel(self, name: str, version: str, files: Mapping[str, bytes]) -> Path:
        """Put a wheel on the shelf, with the metadata that pip looks for."""
        stem = f"{name.replace('-', '_')}-{version}"
        about = f"{stem}.dist-info"
        meta = {
            f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": b"",
        }
        path = self.shelf / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for member, held in {**files, **meta}.items():
                wheel.writestr(member, held)
        return path


def _tar(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, target in links.items():
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return held.getvalue()


def _compressed(data: bytes, compression: str) -> bytes:
    import gzip
    import lzma

    if compression == "zst":
        return pa.compress(data, codec="zstd", asbytes=True)
    return lzma.compress(data) if compression == "xz" else gzip.compress(data)


def on_path(clients: Path) -> str:
    return f"{clients}{os.pathsep}{os.environ['PATH']}"
