"""A plan as the screen shows it: sizes, what is cast and dropped, what overflows, what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from modelhub.services.convert import FailedConversion
from modelhub.text import clean, human_count, human_size, plural
from modelhub.tui.widgets.form import in_forms_words

if TYPE_CHECKING:
    from modelhub.services.convert import KeptWider, PlannedConversion, PlanOutcome

MUTED = "$foreground 65%"
_SHOWN = 8
"""Names that are listed of many."""


def plans(outcomes: Sequence[PlanOutcome]) -> Content:
    """All of them, one below the other; of several, first what they come to together."""
    parts: list[Content] = []
    if len(outcomes) > 1:
        parts += [*_together(outcomes), Content("")]
    for outcome in outcomes:
        parts += [*_one(outcome), Content("")]
    return Content("\n").join(parts[:-1])


def _together(outcomes: Sequence[PlanOutcome]) -> Iterable[Content]:
    whole = [one for one in outcomes if not isinstance(one, FailedConversion)]
    planned = [one for one in whole if one.changes]
    before = sum(one.size_before for one in planned)
    after = sum(map(size_after, planned))
    if planned:
        yield Content.styled(f"{plural(len(planned), 'file')}: {_sizes(before, after)}", "bold")
    if len(planned) < len(whole):
        yield Content(f"{plural(len(whole) - len(planned), 'file')} as asked already")
    refused = len(outcomes) - len(whole)
    if refused:
        yield Content.styled(f"{plural(refused, 'file')} refused", "bold $error")


def size_after(plan: PlannedConversion) -> int:
    """Of a folder that of its tensors, which is all but a few KiB."""
    return plan.summary.after.nbytes if plan.size_after is None else plan.size_after


def _sizes(before: int, after: int) -> str:
    share = f" ({(after - before) / before:+.0%})" if before else ""
    return f"{human_size(before)} → {human_size(after)}{share}"


def _one(outcome: PlanOutcome) -> Iterable[Content]:
    if isinstance(outcome, FailedConversion):
        yield Content.styled(f"✗ {clean(outcome.source.name)}", "bold $error")
        yield Content(clean(outcome.error.message))
        if outcome.error.hint:
            yield _field("hint", in_forms_words(outcome.error.hint))
        return
    plan = outcome
    yield Content.styled(clean(plan.source.name), "bold")
    if not plan.changes:
        yield Content("nothing would change: it is as asked already")
        return
    yield _field("becomes", plan.target.name)
    yield _field("in", str(plan.target.parent))
    yield _field("size", _sizes(plan.size_before, size_after(plan)), "bold $accent")
    if plan.target_is_taken:
        yield _field("name", "taken already: “goes to” chooses another", "$warning")
    yield _field("result", _result(plan.result))
    if plan.verdict != "safe":
        yield _field("scan", plan.verdict, "bold $warning")
    yield from _tensors(plan)
    yield from _overflows(plan.overflows)
    for text in plan.notices:
        yield Content.styled(f"⚠ {clean(text)}", "$warning")


def _field(name: str, text: str, look: str = "") -> Content:
    return Content.assemble((f"{name:<8} ", MUTED), (clean(text), look))


def _result(found: dict[str, object]) -> str:
    words = [found.get(name) for name in ("kind", "architecture", "edition", "precision")]
    return " ".join(str(word) for word in words if word)


def _tensors(plan: PlannedConversion) -> Iterable[Content]:
    summary = plan.summary
    cast = sum(one.tensors for one in summary.casts)
    if summary.after.tensors > cast:
        same = plural(summary.after.tensors - cast, "tensor as it is", "tensors as they are")
        yield _field("keep", same)
    for one in summary.casts:
        sizes = f"{human_size(one.before)} → {human_size(one.after)}"
        yield _field("cast", f"{human_count(one.tensors)}  {one.dtype} → {one.into}  {sizes}")
    for reason, amount in summary.dropped.items():
        size = human_size(amount.nbytes)
        yield _field("drop", f"{human_count(amount.tensors)}  {reason}  {size}")
        yield from _names(plan.dropped.get(reason, ()))
    if plan.renamed:
        yield _field("rename", plural(len(plan.renamed), "tensor"))
    if plan.inert:
        shown = ", ".join(plan.inert[:_SHOWN])
        yield _field("inert", f"records without code: {shown}{_more(len(plan.inert))}")


def _names(names: Sequence[str]) -> Iterable[Content]:
    for name in names[:3]:
        yield Content.styled(f"           {clean(name)}", MUTED)
    if len(names) > 3:
        yield Content.styled(f"           and {len(names) - 3:,} more", MUTED)


def _overflows(overflows: Sequence[KeptWider] | None) -> Iterable[Content]:
    if not overflows:
        return
    number = plural(len(overflows), "tensor")
    yield Content.styled(f"⚠ {number} with values beyond what fp16 holds (65,504):", "$warning")
    for one in overflows[:_SHOWN]:
        yield Content(f"   {clean(one.name)}: {human_count(one.count)}, up to {one.largest:.6g}")
    if len(overflows) > _SHOWN:
        yield Content(f"  {_more(len(overflows))}")


def _more(count: int) -> str:
    return f" and {count - _SHOWN:,} more" if count > _SHOWN else ""
