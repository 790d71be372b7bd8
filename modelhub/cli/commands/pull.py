"""`modelhub pull`: download models, verify, place and record them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.detaching import absolute, detach_options, is_detached, job_request, queue_jobs
from modelhub.cli.output import json_option, print_json
from modelhub.cli.params import SIZE
from modelhub.errors import Cancelled
from modelhub.text import human_duration, human_rate, human_size, plural

if TYPE_CHECKING:
    from modelhub.config import Config
    from modelhub.services.jobs import JobRequest
    from modelhub.services.pull import PulledFile, PullOptions, PullOutcome

_MIXED_FAILURES = 1
_LAYOUTS = ("comfyui", "a1111", "forge", "invokeai", "flat", "template")


@click.command()
@click.argument("references", nargs=-1, required=True, metavar="REF...")
@click.option("--version", metavar="NAME", help="The version, by its name or id.")
@click.option("--file", metavar="NAME", help="The file, by its name or id.")
@click.option("--type", "file_type", metavar="TYPE", help="The file's type: Model, VAE, Config ...")
@click.option("--format", "format_", metavar="FORMAT", help="SafeTensor, PickleTensor, GGUF ...")
@click.option("--fp", "precision", metavar="FP", help="The precision: fp16, fp32, bf16, fp8 ...")
@click.option(
    "--size", type=click.Choice(["full", "pruned"]), help="All weights, or those that matter."
)
@click.option("--root", metavar="FOLDER", help="The library folder, instead of `library.root`.")
@click.option(
    "--layout",
    type=click.Choice(_LAYOUTS),
    metavar="NAME",
    help="comfyui, a1111, forge, invokeai, flat, template.",
)
@click.option("--connections", type=click.IntRange(1, 64), help="Connections a file, at most.")
@click.option(
    "--limit-rate", type=SIZE, metavar="RATE", help="Bytes a second over all files: 20MB/s."
)
@click.option("--allow-unsafe", is_flag=True, help="Take files that a scan calls dangerous.")
@click.option("--no-preview", is_flag=True, help="Fetch no preview image.")
@click.option("--dry-run", is_flag=True, help="Show what would be pulled, and where it would go.")
@detach_options
@json_option
@pass_app
def command(app: App, /, references: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Download models, verify, place and record them.

    REF is a model's id (78056, 78056@133274), a Civitai URL, an AIR, a hash (SHA256, AutoV2,
    BLAKE3, CRC32), `-` for references on standard input, or `@FILE` for those in a file, one a
    line. Without options the published primary file is taken, safetensors before pickle.

    What Civitai's scan calls dangerous is refused; what our own scan of the file does goes into
    quarantine, out of every tool's reach, and the command ends with the code 6.

    A pull that was stopped, killed or cut off goes on where it was when it is run again.

    \b
    Examples:
      modelhub pull 78056
      modelhub pull 'https://civitai.com/models/107842?modelVersionId=428028'
      modelhub pull 78056 --fp fp32 --dry-run
      modelhub pull @wanted.txt --limit-rate 20MB/s
      modelhub pull 78056 --detach
    """
    from modelhub.civitai.references import expand_arguments
    from modelhub.cli.library import civitai_client, opened_catalog
    from modelhub.services.pull import pull

    detached = is_detached(options, "dry_run")
    config = _configured(app.config, options)
    wanted = list(expand_arguments(references, sys.stdin))
    if not wanted:
        app.say("nothing to pull: no reference was given")
    choice = _choice(options)
    if detached:
        queue_jobs(app, _requests(wanted, choice, options), as_json=as_json)
        return
    with opened_catalog(app) as catalog, civitai_client(app) as client, app.progress() as listener:
        outcomes = pull(
            wanted,
            choice,
            config=config,
            client=client,
            catalog=catalog,
            listener=listener,
            cancel=app.cancel,
        )
    print_outcomes(app, outcomes, as_json=as_json)
    code = exit_code(outcomes)
    if code:
        click.get_current_context().exit(code)


def _choice(given: dict[str, Any]) -> PullOptions:
    """Which file of each reference is meant, and whether anything is written."""
    from modelhub.services.pull import PullOptions

    return PullOptions(
        version=given["version"],
        file=given["file"],
        file_type=given["file_type"],
        format=given["format_"],
        precision=given["precision"],
        size=given["size"],
        dry_run=given["dry_run"],
        allow_unsafe=given["allow_unsafe"],
    )


def _configured(config: Config, given: dict[str, Any]) -> Config:
    """The settings with this run's options put over them.

    :raises UsageError: --root names no folder.
    """
    from modelhub.services.jobs.kinds.download import Download, configured

    return configured(
        config,
        Download(
            reference="",
            root=given["root"],
            layout=given["layout"],
            connections=given["connections"],
            limit_rate=given["limit_rate"],
            preview=not given["no_preview"],
        ),
    )


def _requests(
    wanted: Sequence[str], choice: PullOptions, given: dict[str, Any]
) -> list[JobRequest]:
    """A job for each reference."""
    from modelhub.services.jobs import JobKind
    from modelhub.services.jobs.plain import to_plain

    root = given["root"]
    arguments = {
        "options": to_plain(choice),
        "root": None if root is None else str(absolute(Path(root))),
        "layout": given["layout"],
        "connections": given["connections"],
        "limit_rate": given["limit_rate"],
        "preview": not given["no_preview"],
    }
    return [
        job_request(JobKind.DOWNLOAD, one, {"reference": one, **arguments}, given) for one in wanted
    ]


def print_outcomes(app: App, outcomes: Sequence[PullOutcome], *, as_json: bool) -> None:
    """Where each file is, and an error for each that failed; or all as one JSON document."""
    from modelhub.cli.messages import show_error
    from modelhub.services.pull import FailedPull

    if as_json:
        print_json([document(outcome) for outcome in outcomes])
    stopped = [one for one in outcomes if _was_stopped(one)]
    for outcome in outcomes:
        if len(stopped) > 1 and _was_stopped(outcome):
            continue
        if isinstance(outcome, FailedPull):
            several = len(outcomes) > 1
            show_error(app, outcome.error, about=outcome.reference if several else "")
        elif not as_json:
            _print_pulled(app, outcome)
    if len(stopped) > 1:
        words = f"{len(stopped):,} of {plural(len(outcomes), 'pull')} stopped before the end"
        show_error(app, Cancelled(words))


def _was_stopped(outcome: PullOutcome) -> bool:
    from modelhub.services.pull import FailedPull

    return isinstance(outcome, FailedPull) and isinstance(outcome.error, Cancelled)


def _print_pulled(app: App, pulled: PulledFile) -> None:
    app.echo(str(pulled.path))
    if not app.quiet:
        app.say(f"  {_summary(pulled)}")


def _summary(pulled: PulledFile) -> str:
    size = human_size(pulled.size)
    if pulled.planned:
        plan = {"done": "would be downloaded", "present": "is here already"}
        return f"{size}, {plan.get(pulled.outcome, 'would be linked')}; {pulled.reason}"
    proof = f"{pulled.verified_by} verified" if pulled.verified_by else "no published hash to check"
    if pulled.outcome == "present":
        return f"{size}, already here, {proof}"
    if pulled.outcome == "linked":
        return f"{size}, linked to the same content, {proof}"
    took = pulled.download_seconds
    speed = f" at {human_rate(pulled.fetched / took)}" if took > 0 else ""
    span = human_duration(took) if took >= 1 else "less than a second"
    parts = [size, proof, f"downloaded in {span}{speed}"]
    if pulled.resumed:
        parts.append(f"{human_size(pulled.resumed)} of it from an earlier run")
    return ", ".join(part for part in parts if part)


def document(outcome: PullOutcome) -> dict[str, Any]:
    """The JSON form of an outcome."""
    import msgspec

    from modelhub.services.pull import FailedPull

    if isinstance(outcome, FailedPull):
        error = outcome.error
        return {
            "reference": outcome.reference,
            "outcome": "failed",
            "error": {
                "class": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "exit_code": error.exit_code,
            },
        }
    plain: dict[str, Any] = msgspec.to_builtins(outcome, enc_hook=str)
    return plain


def exit_code(outcomes: Sequence[PullOutcome]) -> int:
    """0 when all is well, the error's own where all failures are alike, else 1."""
    from modelhub.services.pull import FailedPull

    codes = {outcome.error.exit_code for outcome in outcomes if isinstance(outcome, FailedPull)}
    if not codes:
        return 0
    if Cancelled.exit_code in codes:
        return Cancelled.exit_code
    return codes.pop() if len(codes) == 1 else _MIXED_FAILURES
