"""From the text of an answer to typed values: null is missing, nothing is lost.

Civitai's answers grow and change: fields come and go, null stands for missing, enumerations get new
values. What modelhub uses is typed (:mod:`.schema`); the text itself is kept beside, and everything
else in it with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from modelhub.civitai.schema import Page
from modelhub.errors import UnexpectedAnswer
from modelhub.network import shown_url

T = TypeVar("T")

_LONE_SURROGATE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:"
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What the server said: typed, and as the JSON text that it sent.

    `from_cache` tells that the text is the one stored earlier, with or without asking whether it
    is still current.
    """

    value: T
    raw: str
    from_cache: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """JSON before its types were checked: the text, and the plain values in it."""

    text: str
    plain: object


def read_answer(
    body: bytes | str, type_: type[T], url: str, *, from_cache: bool = False
) -> Answer[T]:
    """Read the JSON in `body` as a `type_`.

    :param url: where it came from, for the error.
    :raises UnexpectedAnswer: no JSON, or of another shape; the message names the place in it, what
        was expected there, and the URL.
    """
    return typed(parse_json(body, url), type_, url, from_cache=from_cache)


def parse_json(body: bytes | str, url: str) -> Parsed:
    """Parse `body`. Halves of surrogate pairs (a cut emoji) become U+FFFD.

    :raises UnexpectedAnswer: it is no JSON, or nested without end.
    """
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    try:
        text = data.decode("utf-8-sig")
        try:
            return Parsed(text, msgspec.json.decode(text))
        except msgspec.DecodeError:
            mended = _with_whole_surrogates(text)
            return Parsed(mended, msgspec.json.decode(mended))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(
            f"{shown_url(url)} answered what is no JSON: {_first_line(error)}"
        ) from error
    except RecursionError as error:
        raise _too_deep(url) from error


def typed(parsed: Parsed, type_: type[T], url: str, *, from_cache: bool = False) -> Answer[T]:
    """Check that parsed JSON is a `type_`.

    :raises UnexpectedAnswer: it is not; the message names the place in it.
    """
    try:
        value = msgspec.convert(_without_nulls(parsed.plain), type_)
    except msgspec.ValidationError as error:
        raise UnexpectedAnswer(f"{shown_url(url)} answered {_placed(error)}") from error
    except RecursionError as error:
        raise _too_deep(url) from error
    return Answer(value, parsed.text, from_cache)


def read_each(answer: Answer[Any], item: type[T], url: str) -> list[Answer[T]]:
    """The elements of an answer that is a JSON array, each with its own text; nulls left out.

    :raises UnexpectedAnswer: an element is no `item`, or there is no array.
    """
    try:
        texts = msgspec.json.decode(answer.raw, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise UnexpectedAnswer(f"{shown_url(url)} answered no JSON array") from error
    return [
        read_answer(bytes(text), item, url, from_cache=answer.from_cache)
        for text in texts
        if bytes(text) != b"null"
    ]


class _RawPage(msgspec.Struct):
    items: list[msgspec.Raw] = []


def page_items(page: Answer[Page[T]]) -> Iterator[Answer[T]]:
    """The items of a page, each with its own text."""
    raw = msgspec.json.decode(page.raw, type=_RawPage)
    texts = [bytes(text) for text in raw.items if bytes(text) != b"null"]
    for value, text in zip(page.value.items, texts, strict=True):
        yield Answer(value, text.decode("utf-8"), page.from_cache)


def error_text(body: bytes) -> tuple[str, dict[str, object]]:
    """What an error's body says, in one line, and the JSON object it is, if it is one.

    `error` is a text, or an object of a validator's (`issues`, `message`, ...); `message` may stand
    beside. Empty when nothing readable is there.
    """
    try:
        plain = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", {}
    if not isinstance(plain, dict):
        return "", {}
    found = list(dict.fromkeys(_sentences(plain)))
    if len(found) > 1 and found[0] == "Unauthorized":
        found = found[1:]
    return printable(": ".join(found), limit=300), cast("dict[str, object]", plain)


def printable(text: str, *, limit: int = 120) -> str:
    """A server's `text` for a terminal: one line of bounded length, no control characters."""
    line = " ".join(text[: limit * 4].split())
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _with_whole_surrogates(text: str) -> str:
    return _LONE_SURROGATE.sub(
        lambda match: match[1] + (match[2] or rb"\ufffd"), text.encode()
    ).decode()


def _too_deep(url: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{shown_url(url)} answered JSON that is nested too deeply")


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _placed(error: msgspec.ValidationError) -> str:
    """msgspec's "Expected `float`, got `str` - at `$.files[0].sizeKB`", the place first."""
    what, _, where = str(error).rpartition(" - at ")
    if not what:
        what, where = where, "`$`"
    what = what.replace("`", "").replace(" | null", "")
    return printable(f"{where.strip('`')}: {what[:1].lower()}{what[1:]}", limit=300)


def _first_line(error: Exception) -> str:
    return printable(str(error).partition("\n")[0])


def _sentences(plain: dict[Any, Any]) -> Iterator[str]:
    for name in ("error", "message"):
        part = plain.get(name)
        if isinstance(part, dict):
            issues = part.get("issues") or part.get("errors")
            if isinstance(issues, list):
                yield from _issue_sentences(issues)
            yield from _texts(part.get("message"))
        else:
            yield from _texts(part)


def _issue_sentences(issues: list[Any]) -> Iterator[str]:
    """`{"path": ["limit"], "message": "too large"}` as "limit: too large"."""
    for issue in issues[:5]:
        if isinstance(issue, dict):
            path = issue.get("path")
            where = ".".join(map(str, path)) if isinstance(path, list) else ""
            for text in _texts(issue.get("message")):
                yield f"{where}: {text}" if where else text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value
