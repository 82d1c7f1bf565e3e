"""The Wesnoth Markup Language: macros expanded, then tags and attributes as a tree. Nothing in it is executed.

#define NAME ARGUMENT            {NAME value}  {NAME (a value) {ANOTHER}}
... {ARGUMENT} ...               [tag]
#enddef                              key= _ "text" + "more text"
                                 [/tag]
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LONGEST = 50_000_000
DEEPEST = 60

_DEFINE = re.compile(r"#define[ \t]+(\S+)([^\n]*)\n?")
_OPTIONAL = re.compile(r"#arg[ \t]+(\S+)[ \t]*\n?(.*?)#endarg[ \t]*\n?", re.S)
_CONDITION = re.compile(r"#(ifn?def|ifn?have|ifn?ver)[ \t]+([^\n]*)")
_BRANCH = re.compile(r"#(ifn?def|ifn?have|ifn?ver|else|endif)\b")


class MarkupError(Exception):
    """A file that is not well-formed; the message says where."""


@dataclass(frozen=True)
class Macro:
    """`#define NAME ARGUMENTS`: the text that `{NAME values}` stands for."""

    arguments: tuple[str, ...]
    defaults: Mapping[str, str]
    body: str


@dataclass
class Tag:
    """`[name] attributes and tags [/name]`."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    tags: list["Tag"] = field(default_factory=list)

    def all(self, *names: str) -> Iterator["Tag"]:
        """The tags of these names right below this one."""
        return (tag for tag in self.tags if tag.name in names)


def expand(text: str, macros: dict[str, Macro]) -> str:
    """The text with comments dropped and macros expanded; its own `#define`s are added to `macros`.

    Unknown macros and included files (`{path/}`) stand for nothing.

    Raises:
        MarkupError: an unclosed macro, or macros that never end.
    """
    return _expand(text, macros, {}, 0)


def _expand(text: str, macros: dict[str, Macro], bound: Mapping[str, str], depth: int) -> str:
    if depth > DEEPEST:
        raise MarkupError("macros that call each other without end")
    pieces: list[str] = []
    at, quoted, length = 0, False, 0
    while at < len(text):
        stop = _next(text, at, quoted)
        pieces.append(text[at:stop])
        at = stop
        if at >= len(text):
            break
        if text[at] == '"':
            quoted = not quoted
            pieces.append('"')
            at += 1
        elif text.startswith("<<", at):
            end = text.find(">>", at)
            end = len(text) if end < 0 else end + 2
            pieces.append(text[at:end])
            at = end
        elif text[at] == "<":
            pieces.append("<")
            at += 1
        elif text[at] == "#":
            said, at = _directive(text, at, macros, bound, depth)
            pieces.append(said)
        else:
            end = _closing(text, at)
            pieces.append(_called(text[at + 1 : end], macros, bound, depth))
            at = end + 1
        length += len(pieces[-1])
        if length > LONGEST:
            raise MarkupError("macros that expand to more than 50 MB")
    return "".join(pieces)


def _next(text: str, at: int, quoted: bool) -> int:
    """Where the next sign that means something stands: in quotes, those are the quote and the macro."""
    found = re.compile(r'["{]' if quoted else r'["{#<]').search(text, at)
    return found.start() if found else len(text)


def _directive(text: str, at: int, macros: dict[str, Macro], bound: Mapping[str, str], depth: int) -> tuple[str, int]:
    """What a `#...` stands for, and where the text goes on."""
    if define := _DEFINE.match(text, at):
        end = text.find("#enddef", define.end())
        if end < 0:
            raise MarkupError(f"#define {define[1]} has no #enddef")
        body = text[define.end() : end]
        defaults = {name: value.removesuffix("\n") for name, value in _OPTIONAL.findall(body)}
        arguments = tuple(define[2].partition("#")[0].split())
        macros[define[1]] = Macro(arguments, defaults, _OPTIONAL.sub("", body).removesuffix("\n"))
        return "", end + len("#enddef")
    if condition := _CONDITION.match(text, at):
        chosen, end = _branch(text, condition, macros)
        return _expand(chosen, macros, bound, depth + 1), end
    line = text.find("\n", at)
    line = len(text) if line < 0 else line
    words = text[at:line].split()
    if words[0] == "#undef":
        for name in words[1:]:
            macros.pop(name, None)
    return "", line


def _branch(text: str, condition: re.Match[str], macros: Mapping[str, Macro]) -> tuple[str, int]:
    """The branch of an `#if...` that holds, and the end of its `#endif`. No symbol, file or version is known."""
    words = condition[2].split()
    holds = (condition[1] == "ifdef" and words[:1] and words[0] in macros) or condition[1] in {
        "ifnhave",
        "ifver",
    }
    if condition[1] == "ifndef":
        holds = not (words and words[0] in macros)
    depth, start, otherwise = 1, condition.end(), None
    for sign in _BRANCH.finditer(text, condition.end()):
        if sign[1].startswith("if"):
            depth += 1
        elif sign[1] == "endif":
            depth -= 1
            if depth == 0:
                first = text[start : otherwise.start() if otherwise else sign.start()]
                second = text[otherwise.end() : sign.start()] if otherwise else ""
                return (first if holds else second), sign.end()
        elif depth == 1:
            otherwise = sign
    raise MarkupError(f"#{condition[1]} has no #endif")


def _closing(text: str, at: int) -> int:
    depth = 0
    for sign in re.compile(r"[{}]").finditer(text, at):
        depth += 1 if sign[0] == "{" else -1
        if depth == 0:
            return sign.start()
    raise MarkupError(f"a macro that is not closed: {text[at : at + 40]!r}")


def _called(call: str, macros: dict[str, Macro], bound: Mapping[str, str], depth: int) -> str:
    """What `{call}` stands for: an argument of the macro around it, a macro, or nothing."""
    if call in bound:
        return bound[call]
    name, *values = _words(call) or [""]
    if name not in macros:
        return ""
    macro = macros[name]
    arguments = dict(macro.defaults)
    given = [_expand(value, macros, bound, depth + 1) for value in values]
    places = iter(macro.arguments)
    for value in given:
        named, _, rest = value.partition("=")
        if named in macro.defaults:
            arguments[named] = rest
        else:
            arguments[next(places, "")] = value
    return _expand(macro.body, macros, arguments, depth + 1)


def _words(call: str) -> list[str]:
    """Values are split at spaces, but not within (), {} or quotes; the outermost () are dropped."""
    words: list[str] = []
    word, inside, depth, quoted = "", False, 0, False
    for sign in call.strip():
        if sign == '"':
            quoted = not quoted
        opens, closes = not quoted and sign in "({", not quoted and sign in ")}"
        if not depth and not quoted and sign.isspace():
            if inside:
                words.append(word)
            word, inside = "", False
            continue
        inside = True
        outermost = (opens and sign == "(" and depth == 0) or (closes and sign == ")" and depth == 1)
        depth += 1 if opens else -1 if closes else 0
        if not outermost:
            word += sign
    return [*words, word] if inside else words


_TAG = re.compile(r"\[([+/]?)([\w ]+)\]")
_KEY = re.compile(r"([\w ,.$|-]+?)\s*=[ \t]*")


def parse(text: str) -> Tag:
    """The tree of expanded markup; its root has no name.

    Raises:
        MarkupError: a tag closed that is not open, or something that is neither tag nor attribute.
    """
    root = Tag("")
    stack, at = [root], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif tag := _TAG.match(text, at):
            at = tag.end()
            if tag[1] != "/":
                opened = Tag(tag[2])
                stack[-1].tags.append(opened)
                stack.append(opened)
            elif len(stack) > 1 and stack[-1].name == tag[2]:
                stack.pop()
            else:
                raise MarkupError(f"[/{tag[2]}] closes [{stack[-1].name}]")
        elif key := _KEY.match(text, at):
            value, at = _value(text, key.end())
            names = [name.strip() for name in key[1].split(",")]
            values = [value] if len(names) == 1 else [part.strip() for part in value.split(",", len(names) - 1)]
            stack[-1].attributes.update(zip(names, values, strict=False))
        else:
            raise MarkupError(f"neither tag nor attribute: {text[at : at + 40]!r}")
    if len(stack) > 1:
        raise MarkupError(f"[{stack[-1].name}] is not closed")
    return root


def _value(text: str, at: int) -> tuple[str, int]:
    """The value up to the end of its line: words and quoted texts side by side, `+` joins, also over lines."""
    pieces: list[str] = []
    bare = ""
    while at < len(text) and text[at] != "\n":
        if text[at] == '"':
            pieces.append(_unmarked(bare))
            bare = ""
            end = at + 1
            while (end := text.find('"', end)) >= 0 and text.startswith('""', end):
                end += 2
            if end < 0:
                raise MarkupError(f"a quote that is not closed: {text[at : at + 40]!r}")
            pieces.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        elif text[at] == "+" and (rest := re.compile(r"\+\s*(?=_?\s*\")").match(text, at)):
            pieces.append(_unmarked(bare))
            bare, at = "", rest.end()
        else:
            bare += text[at]
            at += 1
    return "".join([*pieces, _unmarked(bare)]).strip(), at


def _unmarked(bare: str) -> str:
    """Without the `_` that marks a text for translation."""
    return "" if bare.strip() in {"_", ""} else bare
