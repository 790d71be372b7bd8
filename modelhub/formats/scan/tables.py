"""The rules as Markdown tables, for the documentation.

    python -m modelhub.formats.scan.tables docs/scanning-rules.md

writes the file anew from the rules, behind its line ``<!-- tables -->``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from modelhub.formats.scan.allowed import ALLOWED
from modelhub.formats.scan.arguments import CHECKED
from modelhub.formats.scan.dangers import DANGEROUS_MODULES, DANGEROUS_NAMES, REACHING
from modelhub.formats.scan.report import Rank

MARK = "<!-- tables -->"
"""The line in the documentation behind which the tables stand."""


def markdown() -> str:
    """All tables."""
    return "\n".join(
        [
            *_allowed("Needed for tensors", Rank.TENSORS),
            *_allowed("Known and harmless", Rank.HARMLESS),
            *_modules(),
            *_names(),
            "### Dangerous in any module",
            "",
            ", ".join(f"`{name}`" for name in sorted(REACHING)),
            "",
        ]
    )


def rewritten(text: str) -> str:
    """A page of the documentation with the tables of today behind its mark."""
    return f"{text.partition(MARK)[0]}{MARK}\n\n{markdown()}"


def _allowed(title: str, rank: Rank) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for (module, name), (own, why) in ALLOWED.items():
        if own is rank:
            star = " (arguments checked)" if (module, name) in CHECKED else ""
            groups.setdefault((module, why), []).append(f"`{name}`{star}")
    yield from (f"### {title}", "", "| module | names | what it is |", "| --- | --- | --- |")
    for (module, why), names in groups.items():
        yield f"| `{module}` | {', '.join(names)} | {why} |"
    yield ""


def _modules() -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for module, why in DANGEROUS_MODULES.items():
        reasons.setdefault(why, []).append(f"`{module}`")
    yield from ("### Dangerous modules, with all below them", "", "| modules | why |")
    yield "| --- | --- |"
    for why, modules in reasons.items():
        yield f"| {', '.join(modules)} | {why} |"
    yield ""


def _names() -> Iterator[str]:
    yield from ("### Dangerous names of other modules", "", "| module | names | why |")
    yield "| --- | --- | --- |"
    for module, (why, names) in DANGEROUS_NAMES.items():
        yield f"| `{module}` | {', '.join(f'`{name}`' for name in sorted(names))} | {why} |"
    yield ""


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(rewritten(page.read_text(encoding="utf-8")), encoding="utf-8")
