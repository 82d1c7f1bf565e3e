"""What every page has in common: one file that loads nothing, in which texts of the data are text.

The Content-Security-Policy of a page allows the scripts it names by hash, media from data URIs, and no connection.
Jinja escapes all that a template shows; what scripts read is JSON that cannot end its element.
"""

import base64
import hashlib
from functools import cache
from importlib import resources

import vl_convert
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from vestige.report import text


@cache
def environment() -> Environment:
    """Jinja with the templates of this folder; hidden characters are spelt out wherever a template shows a text."""
    made = Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        finalize=text.visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    for show in (text.number, text.percent, text.interval, text.small, text.brief):
        made.filters[show.__name__] = show
    return made


def resource(name: str) -> str:
    """A file of this folder."""
    return resources.files("vestige.report").joinpath(name).read_text(encoding="utf-8")


@cache
def vega() -> Markup:
    """Vega, Vega-Lite and Vega-Embed; building it takes a second or two."""
    return script(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def script(source: str) -> Markup:
    """A script as the content of an element.

    Raises:
        ValueError: it holds what would end the element, or what an HTML parser would change.
    """
    found = [part for part in ("</script", "<!--", "\r", "\0") if part in source.lower()]
    if found:
        raise ValueError(f"a script with {found} cannot stand in a <script> element")
    return Markup(source)


def policy(*scripts: str, outside: bool = False) -> Markup:
    """Content-Security-Policy: these scripts, media from data URIs, styles in the page, and nothing else.

    Args:
        scripts: the content of every script of the page.
        outside: whether media may lie beside the page, too.
    """
    hashes = [base64.b64encode(hashlib.sha256(own.encode()).digest()).decode() for own in scripts]
    media = "data: 'self'" if outside else "data:"
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{digest}'" for digest in hashes),
        "style-src": "'unsafe-inline'",
        "img-src": media,
        "media-src": media,
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return Markup("; ".join(f"{rule} {value}" for rule, value in rules.items()))
