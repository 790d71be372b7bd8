"""The tables of rules as Markdown, for the documentation.

    python -m modelhub.formats.identify.tables docs/identify.md

writes the file anew from the rules, behind its line ``<!-- tables -->``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelhub.formats.identify.engine import Rule, Shape
from modelhub.formats.identify.names import HINTS
from modelhub.formats.identify.rules import diffusion, image_encoders, text_encoders, vaes

MARK = "<!-- tables -->"
"""The line in the documentation behind which the tables stand."""


def markdown() -> str:
    """All tables of this package, in the order in which they are asked."""
    return "\n".join(_sections())


def _sections() -> Iterator[str]:
    yield from _table("Architectures of diffusion models", diffusion.ARCHITECTURES)
    for architecture, rules in diffusion.EDITIONS.items():
        yield from _table(f"Editions of `{architecture}`", rules)
    for architecture, rules in diffusion.MARKED_EDITIONS.items():
        yield from _table(f"Editions of `{architecture}` by marks beside the parts", rules)
    seen: set[tuple[Rule, ...]] = set()
    for rules in diffusion.VARIANTS.values():
        if rules not in seen:
            seen.add(rules)
            of = [f"`{key}`" for key, these in diffusion.VARIANTS.items() if these is rules]
            yield from _table(f"Variants of {', '.join(of)} (every line that holds)", rules)
    yield from _table("Marks beside the parts (every line that holds)", diffusion.MARKS)
    yield from _table("VAEs", vaes.VAES)
    yield from _table("Architectures of VAEs", vaes.ARCHITECTURES)
    yield from _table("Architectures of VAEs, likely", vaes.LIKELY)
    yield from _table("Text encoders", text_encoders.TEXT_ENCODERS)
    yield from _table("Image encoders", image_encoders.IMAGE_ENCODERS)
    yield from _hints()


def _table(title: str, rules: Iterable[Rule]) -> Iterator[str]:
    yield from (f"### {title}", "", "| is | where there is | because | source |")
    yield "| --- | --- | --- | --- |"
    for rule in rules:
        where = f"`{rule.key}`{_shape(rule.shape)}"
        where += "".join(f", `{key}`" for key in rule.also)
        where += "".join(f", no `{key}`" for key in rule.without)
        yield f"| {rule.value} | {where} | {rule.because} | {rule.source} |"
    yield ""


def _shape(shape: Shape) -> str:
    if not shape:
        return ""
    return f" [{', '.join('any' if size is None else str(size) for size in shape)}]"


def _hints() -> Iterator[str]:
    yield from ("### Names of files (guesses)", "", "| guess | of | where the name has |")
    yield "| --- | --- | --- |"
    for hint in HINTS:
        what = (hint.kind.value if hint.kind else None, hint.architecture, hint.edition)
        of = " ".join(part for part in what if part) or "any"
        words = hint.words.replace("|", "&#124;")
        yield f"| {hint.field}: {hint.value} | {of} | <code>{words}</code> |"
    yield ""


def rewritten(text: str) -> str:
    """A page of the documentation with the tables of today behind its mark."""
    return f"{text.partition(MARK)[0]}{MARK}\n\n{markdown()}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(rewritten(page.read_text(encoding="utf-8")), encoding="utf-8")
