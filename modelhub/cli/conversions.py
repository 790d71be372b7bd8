"""What `convert` prints: plans, results and failures, as text or as one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from modelhub.cli.library import opened_catalog
from modelhub.cli.messages import show_error
from modelhub.cli.output import print_json
from modelhub.cli.plans import print_plan
from modelhub.errors import Cancelled
from modelhub.text import human_duration, human_size, plural

if TYPE_CHECKING:
    from modelhub.catalog import Catalog
    from modelhub.cli.context import App
    from modelhub.services.convert import (
        ConvertedFile,
        ConvertOutcome,
        ConvertRequest,
        FailedConversion,
        PlannedConversion,
        PlanOutcome,
    )

_MIXED_FAILURES = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line.

    :param files: paths, patterns, names and queries, as typed.
    :param by_query: all of them are one query.
    """

    files: Sequence[str]
    request: ConvertRequest
    by_query: bool = False
    as_json: bool = False


def converted(app: App, asked: Asked, *, before: Callable[[Sequence[Path]], None]) -> int:
    """Convert the files, print what came of it; the exit code.

    :param before: called with the sources before anything is done; it may raise.
    """
    from modelhub.services.convert import convert

    with opened_catalog(app) as catalog:
        sources = _sources(catalog, asked)
        before(sources)
        with app.progress() as listener:
            outcomes = convert(
                sources,
                asked.request,
                config=app.config,
                catalog=catalog,
                listener=listener,
                cancel=app.cancel,
            )
    if asked.as_json:
        print_json([_document(one) for one in outcomes])
    _print_outcomes(app, outcomes, as_json=asked.as_json)
    return _exit_code(outcomes)


def planned(app: App, asked: Asked, *, verbose: bool) -> int:
    """Print what converting the files would do; the exit code.

    :param verbose: with the names of all tensors that are dropped, cast or renamed.
    """
    from modelhub.services.convert import FailedConversion, plan_conversions

    with opened_catalog(app) as catalog:
        sources = _sources(catalog, asked)
        with app.progress() as listener:
            plans = plan_conversions(
                sources,
                asked.request,
                config=app.config,
                catalog=catalog,
                listener=listener,
                cancel=app.cancel,
            )
    if asked.as_json:
        print_json([_document(one) for one in plans])
    for number, one in enumerate(plans):
        if isinstance(one, FailedConversion):
            show_error(app, one.error)
        elif not asked.as_json:
            if number:
                app.echo()
            print_plan(app, one, verbose=verbose)
    return _exit_code(plans)


def _sources(catalog: Catalog, asked: Asked) -> tuple[Path, ...]:
    from modelhub.services.convert import chosen_sources

    return chosen_sources(catalog, asked.files, by_query=asked.by_query)


def _print_outcomes(app: App, outcomes: Sequence[ConvertOutcome], *, as_json: bool) -> None:
    from modelhub.services.convert import FailedConversion

    stopped = [one.error for one in outcomes if _was_stopped(one)]
    for outcome in outcomes:
        if isinstance(outcome, FailedConversion):
            if len(stopped) < 2 or outcome.error not in stopped:
                show_error(app, outcome.error)
        elif not as_json:
            app.echo(str(outcome.path))
            app.say(f"  {_summary(outcome)}")
            for text in outcome.notices:
                app.say(f"  {text}")
    if len(stopped) > 1:
        words = f"{len(stopped):,} of {plural(len(outcomes), 'conversion')} not done"
        show_error(app, Cancelled(words, hint=stopped[0].hint))
    if len(outcomes) > 1:
        done = [one for one in outcomes if not isinstance(one, FailedConversion)]
        app.say(_total(done, len(outcomes)))


def _was_stopped(outcome: ConvertOutcome) -> TypeGuard[FailedConversion]:
    from modelhub.services.convert import FailedConversion

    return isinstance(outcome, FailedConversion) and isinstance(outcome.error, Cancelled)


def _summary(one: ConvertedFile) -> str:
    sizes = f"{human_size(one.source_size)} to {human_size(one.size)}"
    if one.outcome.value == "present":
        return f"already converted: {sizes}; {one.operation}"
    took = one.seconds_writing
    span = human_duration(took) if took >= 1 else "less than a second"
    parts = [sizes, one.operation, f"written in {span}", "verified against the source"]
    if one.kept_wider:
        parts.append(f"{plural(len(one.kept_wider), 'tensor')} kept wider than fp16")
    if one.deleted_source:
        parts.append(f"{one.source.name} deleted")
    return "; ".join(part for part in parts if part)


def _total(done: Sequence[ConvertedFile], asked: int) -> str:
    before, after = sum(one.source_size for one in done), sum(one.size for one in done)
    new = sum(one.outcome.value == "done" for one in done)
    text = f"{new:,} of {plural(asked, 'file')} converted"
    if len(done) > new:
        text += f", {len(done) - new:,} here already"
    return f"{text}: {human_size(before)} to {human_size(after)}"


def _exit_code(outcomes: Sequence[ConvertOutcome] | Sequence[PlanOutcome]) -> int:
    """0 when all is well, the error's own where all failures are alike, else 1."""
    from modelhub.services.convert import FailedConversion

    codes = {one.error.exit_code for one in outcomes if isinstance(one, FailedConversion)}
    if not codes:
        return 0
    if Cancelled.exit_code in codes:
        return Cancelled.exit_code
    return codes.pop() if len(codes) == 1 else _MIXED_FAILURES


def _document(one: ConvertOutcome | PlannedConversion) -> dict[str, Any]:
    import msgspec

    from modelhub.services.convert import FailedConversion

    if isinstance(one, FailedConversion):
        return _failure(one)
    plain: dict[str, Any] = msgspec.to_builtins(one, enc_hook=str)
    return plain


def _failure(failed: FailedConversion) -> dict[str, Any]:
    error = failed.error
    return {
        "source": str(failed.source),
        "outcome": "failed",
        "error": {
            "class": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        },
    }
