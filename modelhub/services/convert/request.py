"""What is asked of one run of `convert`, and which wishes exclude each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from modelhub.convert.lora import LoraKeys
from modelhub.convert.options import ConvertOptions, Ema, Extract, Precision, Target
from modelhub.errors import UsageError
from modelhub.formats.identify.parts import Role

__all__ = ["ConvertRequest", "Work", "check_request"]


class Work(StrEnum):
    """Which of the planners has the work."""

    WEIGHTS = "weights"
    """The tensors of one file: cast, dropped, renamed, replaced."""
    LORA = "lora"
    """A LoRA under other names, or of another rank."""
    MERGE = "merge"
    """LoRAs added to the weights of a checkpoint."""
    EXTRACT_LORA = "extract lora"
    """The difference of two checkpoints as a LoRA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertRequest:
    """What to make of each file, and where to.

    :param vae: a file whose VAE takes the place of the one inside.
    :param output: a file or a folder; None: beside the source, under a name that says what was
        done.
    :param output_is_folder: it was written with a slash at its end.
    :param rank: of the LoRA that is made; `keep_energy` (0 to 1) of each layer may ask for less.
    :param loras: to be merged, each with its weight.
    :param lora_base: the checkpoint that the sources were tuned from.
    :param allow_unsafe: read files whose pickles name dangerous globals; nothing is run even then.
    :param delete_source: remove the source once the result is verified and recorded.
    """

    options: ConvertOptions = field(default_factory=ConvertOptions)
    vae: Path | None = None
    output: Path | None = None
    output_is_folder: bool = False
    lora_keys: LoraKeys | None = None
    rank: int | None = None
    keep_energy: float | None = None
    loras: tuple[tuple[Path, float], ...] = ()
    lora_base: Path | None = None
    allow_unsafe: bool = False
    delete_source: bool = False

    @property
    def work(self) -> Work:
        """Which planner this is for."""
        if self.lora_base is not None:
            return Work.EXTRACT_LORA
        if self.loras:
            return Work.MERGE
        if self.lora_keys is not None or self.rank is not None or self.keep_energy is not None:
            return Work.LORA
        return Work.WEIGHTS

    @property
    def others(self) -> tuple[Path, ...]:
        """The files that go into the result beside the source itself."""
        more = [self.vae, self.lora_base]
        return tuple(one for one in more if one is not None) + tuple(path for path, _ in self.loras)


def check_request(request: ConvertRequest) -> None:
    """Refuse wishes that exclude each other, or that nothing would come of.

    :raises UsageError: with the two options that do not go together, and why.
    """
    options = request.options
    if request.keep_energy is not None and request.rank is None:
        raise UsageError(
            "--keep-energy goes with --rank",
            hint="--rank is the most that a layer may have; --keep-energy takes less where it can",
        )
    if request.lora_base is not None and request.loras:
        raise UsageError(
            "--extract-lora-from makes a LoRA and --merge-lora a checkpoint: choose one of them"
        )
    if request.lora_base is not None and request.rank is None:
        raise UsageError(
            "--extract-lora-from needs --rank",
            hint="64 is usual; more keeps more of the difference",
        )
    if request.loras and (request.rank is not None or request.lora_keys is not None):
        raise UsageError(
            "--rank and --lora-keys are of LoRA files, and --merge-lora writes a checkpoint",
            hint="convert the LoRA first; merging reads it under any names",
        )
    if request.loras and (request.vae is not None or options.extract is not None):
        raise UsageError(
            "--merge-lora goes with neither --vae nor --extract-...",
            hint="do one after the other: merge, then bake in or extract",
        )
    if request.delete_source and (options.extract or request.work is Work.EXTRACT_LORA):
        raise UsageError(
            "--delete-source would delete more than the result holds: the rest of it would be lost"
        )
    if request.work in (Work.LORA, Work.EXTRACT_LORA):
        _refuse_checkpoint_options(request)
    _check_parts(options, baked_in=request.vae is not None)


def _refuse_checkpoint_options(request: ConvertRequest) -> None:
    options = request.options
    given = {
        "--vae": request.vae is not None,
        f"--extract-{options.extract}": options.extract is not None,
        "--to diffusers": options.target is Target.DIFFUSERS,
        "--ema": options.ema is Ema.SWAP and request.work is Work.LORA,
        "--no-ema": options.ema is Ema.DROP,
        "--vae-dtype": Role.VAE in options.part_dtypes,
        "--prune": options.prune,
    }
    for name, is_given in given.items():
        if is_given:
            raise UsageError(
                f"{name} is for checkpoints, and a LoRA is what is written here",
                hint="run it as a conversion of its own",
            )


_EXTRACTED_ROLES = {Extract.VAE: Role.VAE, Extract.UNET: Role.UNET}
"""What is no role of its own is a text encoder."""


def _check_parts(options: ConvertOptions, *, baked_in: bool) -> None:
    extract = options.extract
    if extract is None:
        return
    if baked_in:
        raise UsageError(
            f"--vae bakes a VAE into a checkpoint, and --extract-{extract} takes a part out of one",
            hint="do one after the other, each as a conversion of its own",
        )
    if options.target is Target.DIFFUSERS:
        raise UsageError(
            f"--extract-{extract} writes one file, and --to diffusers a folder of several",
            hint="--to diffusers has each part in a folder of its own",
        )
    kept = _EXTRACTED_ROLES.get(extract, Role.TEXT_ENCODER)
    for role in options.part_dtypes:
        if role is not kept:
            raise UsageError(
                f"--{role.value.replace(' ', '-')}-dtype means nothing with --extract-{extract}: "
                f"the {role.value} is not in the result"
            )
    if options.ema is Ema.SWAP and kept is not Role.UNET:
        raise UsageError(
            f"--ema means nothing with --extract-{extract}: only the UNet has an EMA twin"
        )


def part_words(options: ConvertOptions) -> list[tuple[Role, Precision]]:
    """The precisions asked for single parts, in a fixed order."""
    return sorted(options.part_dtypes.items(), key=lambda pair: pair[0].value)
