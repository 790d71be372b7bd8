"""The plan of a LoRA that is made of another: its type, the names of its tensors, its rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from threading import Event
from typing import TYPE_CHECKING

from modelhub.convert.computed import Computed, constant
from modelhub.convert.lora.adapter import Adapter, Layer, LayerKind, read_adapter
from modelhub.convert.lora.deltas import first_factor
from modelhub.convert.lora.describing import changed_metadata
from modelhub.convert.lora.formats import LoraKeys, Naming, keys_of
from modelhub.convert.lora.lowrank import Keep, RankRule
from modelhub.convert.lora.resizing import Resizer
from modelhub.convert.lora.scaling import is_exact, scaled, shares
from modelhub.convert.planning import Dropped, Plan, Reason, Renamed
from modelhub.convert.values import Planned
from modelhub.convert.views import Reshaped
from modelhub.errors import Cancelled, ConversionRefused, UsageError
from modelhub.formats.identify import identify

if TYPE_CHECKING:
    from modelhub.convert.computed import Numbers
    from modelhub.convert.options import Precision
    from modelhub.convert.readers import Source
    from modelhub.convert.values import Values

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_CASTABLE = _FLOATS | {"F8_E4M3", "F8_E5M2"}
Steps = Callable[[int, int], None]
"""Called with how many layers are done, of how many."""


def lora_plan(
    source: Source,
    *,
    key_format: LoraKeys | None = None,
    rank: RankRule | None = None,
    dtype: Precision | None = None,
    progress: Steps | None = None,
    cancel: Event | None = None,
) -> Plan:
    """What becomes of a LoRA. LoHa, LoKr and their kin keep their names and ranks.

    Of the values only the alphas are read, unless the rank goes by them (:attr:`RankRule.keep`):
    then all are, once more than for the writing. The metadata want provenance yet.

    :param key_format: whose names the tensors get; None: they keep theirs.
    :param rank: None leaves them.
    :param dtype: of all weights; None leaves them.
    :raises ConversionRefused: it is no LoRA, or of a kind that cannot be changed so.
    :raises FormatError: its tensors do not go together.
    :raises FileUnreadable: it cannot be read.
    :raises UsageError: a rank or an amount that there is none of.
    :raises Cancelled: `cancel` was set.
    """
    _require_sense(rank)
    adapter = read_adapter(source)
    identity = identify(source.header)
    present = keys_of(adapter)
    naming = None
    if key_format is not None and key_format is not present:
        naming = Naming.to(key_format, identity, adapter.layers.values())
    work = _Work(adapter, key_format or present, naming, rank, dtype)
    for number, layer in enumerate(adapter.layers.values()):
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"stopped while planning {source.path}")
        work.add(layer)
        if progress is not None:
            progress(number + 1, len(adapter.layers))
    return work.plan()


def _require_sense(rule: RankRule | None) -> None:
    if rule is None:
        return
    if rule.rank < 1 or (rule.conv_rank is not None and rule.conv_rank < 1):
        raise UsageError("a rank is at least 1")
    if rule.keep is Keep.RATIO and rule.amount <= 1:
        raise UsageError("the ratio of singular values is above 1")
    if rule.keep not in (None, Keep.RATIO) and not 0 < rule.amount <= 1:
        raise UsageError(f"{rule.keep} is kept in parts of 1: 0.95, for instance")


@dataclass(slots=True)
class _Work:
    """A plan while its layers are added."""

    adapter: Adapter
    keys: LoraKeys | None
    naming: Naming | None
    rule: RankRule | None
    dtype: Precision | None
    tensors: list[Planned] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    renamed: list[Renamed] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    ranks: dict[int, float] = field(default_factory=dict)
    resized_from: int | None = None
    kept_rank: int = 0
    settled: bool = False
    folded: int = 0
    rounded: int = 0
    resizer: Resizer | None = None

    def __post_init__(self) -> None:
        if self.rule is not None:
            self.resizer = Resizer(self.rule)

    def add(self, layer: Layer) -> None:
        """Put the tensors of a layer into the plan."""
        if layer.kind is not LayerKind.LORA:
            self._keep(layer)
            return
        rank = old = layer.shape("up")[1]
        if self.resizer is not None:
            rank = self.resizer.rank(layer)
        writes_alpha = self._writes_alpha(layer)
        folded = 1.0 if writes_alpha else layer.scale
        self.settled |= not writes_alpha and (folded != 1 or "alpha" in layer.names)
        self.settled |= writes_alpha and "alpha" not in layer.names
        made: dict[str, Values] = {}
        if self.resizer is not None and rank < old:
            self.resized_from = max(self.resized_from or 0, old)
            new = self.resizer.resize(layer, rank, folded)
            made = {"down": new.down, "up": new.up}
        else:
            self.kept_rank += self.resizer is not None
            made = self._factors(layer, folded)
        alpha = layer.scale * rank if writes_alpha else float(rank)
        self.ranks[rank] = alpha
        self._plan_factors(layer, made)
        if writes_alpha:
            self._plan_alpha(layer, alpha, unchanged=rank == old)

    def _writes_alpha(self, layer: Layer) -> bool:
        if self.naming is not None:
            return self.naming.keys.has_alpha
        return self.keys is LoraKeys.KOHYA or "alpha" in layer.names

    def _factors(self, layer: Layer, folded: float) -> dict[str, Values]:
        """The factors of a layer at the rank that it has, `folded` multiplied in."""
        for_down, for_up = shares(folded)
        self.folded += folded != 1
        self.rounded += not is_exact(folded)
        made = {
            "down": scaled(layer.values["down"], for_down),
            "up": scaled(layer.values["up"], for_up),
        }
        if "mid" not in layer.names:
            return made
        if self.naming is None or self.naming.keys is LoraKeys.KOHYA:
            return made | {"mid": layer.values["mid"]}
        shape = (layer.shape("mid")[0], layer.shape("down")[1], *layer.shape("mid")[2:])

        def down() -> Numbers:
            numbers = first_factor(layer)
            numbers *= for_down
            return numbers

        return made | {"down": Computed(shape, down)}

    def _plan_factors(self, layer: Layer, made: dict[str, Values]) -> None:
        if "magnitude" in layer.names:
            made = made | {"magnitude": self._magnitudes(layer)}
        for role, old in layer.names.items():
            if role in made:
                stored = layer.values[role].dtype
                self._plan(old, self._name(layer, role), made[role], self._cast(stored))
            elif role != "alpha":
                if role != "mid":
                    self._plan(old, self._name(layer, role), layer.values[role])
                    continue
                self._drop(layer, role)
            elif not self._writes_alpha(layer):
                self._drop(layer, role)

    def _plan_alpha(self, layer: Layer, alpha: float, *, unchanged: bool) -> None:
        stored = layer.values.get("alpha")
        old = layer.names.get("alpha", "")
        name = self._name(layer, "alpha")
        if stored is not None and unchanged:
            self._plan(old, name, stored, self._alpha_type(alpha, stored.dtype))
        else:
            shape = () if stored is None else stored.shape
            kept = layer.values["down"].dtype if stored is None else stored.dtype
            values = constant(alpha, shape)
            self._plan(old, name, values, self._alpha_type(alpha, kept))

    def _alpha_type(self, alpha: float, stored: str) -> str:
        """That of the weights where it holds the number, else fp32."""
        import numpy as np

        wanted = self._cast(stored)
        number = np.float32(alpha)
        if wanted == "BF16":
            return "F32" if number.view(np.uint32) & 0xFFFF else wanted
        with np.errstate(over="ignore"):
            return "F32" if wanted == "F16" and np.float16(number) != number else wanted

    def _magnitudes(self, layer: Layer) -> Values:
        values = layer.values["magnitude"]
        if self.naming is None:
            return values
        rows, dimensions = layer.shape("up")[0], len(layer.shape("up"))
        by_output = values.shape[:1] == (rows,) or "magnitude_vector" in layer.names["magnitude"]
        if not by_output or prod(values.shape) != rows:
            raise ConversionRefused(
                f"{layer.names['magnitude'][:200]} has magnitudes by input, as older LyCORIS wrote "
                f"them: {self.naming.keys} has no name for these"
            )
        shape: tuple[int, ...] = (rows, *(1,) * (dimensions - 1))
        if not self.naming.keys.has_alpha:
            shape = (rows,) if dimensions == 2 else (1, rows, *(1,) * (dimensions - 2))
        return Reshaped(values, shape)

    def _keep(self, layer: Layer) -> None:
        """All tensors of a layer as they are, in the type that was asked for."""
        if self.rule is not None and layer.kind in (LayerKind.LOHA, LayerKind.LOKR):
            raise ConversionRefused(
                f"the rank of a {layer.kind} cannot be changed: its difference is no product of "
                "two thin matrices",
                hint="it can be merged into a checkpoint, and extracted from it as a LoRA",
            )
        if self.naming is not None:
            raise ConversionRefused(
                f"{layer.stem[:200]} is a {layer.kind}: {self.naming.keys} has no names for it",
                hint="LoRAs of two factors alone change from one form to another",
            )
        for role, name in layer.names.items():
            self._plan(name, name, layer.values[role])

    def _name(self, layer: Layer, role: str) -> str:
        if self.naming is not None:
            return self.naming.name(layer, role)
        return layer.names.get(role) or f"{layer.stem}.{role}"

    def _cast(self, stored: str) -> str:
        if self.dtype is not None and stored in _CASTABLE:
            return self.dtype.dtype
        return stored if stored in _FLOATS else "F16"

    def _plan(self, old: str, new: str, values: Values, dtype: str | None = None) -> None:
        if dtype is None:
            dtype = self._cast(values.dtype) if values.dtype in _CASTABLE else values.dtype
        self.tensors.append(Planned(new, values, dtype))
        if isinstance(values, Computed):
            self.added.add(new)
            if old:
                nbytes = self.adapter.source.tensors[old].nbytes
                self.dropped.append(Dropped(old, nbytes, Reason.REPLACED))
        if old and old != new:
            self.renamed.append(Renamed(old, new))

    def _drop(self, layer: Layer, role: str) -> None:
        nbytes = layer.values[role].nbytes
        self.dropped.append(Dropped(layer.names[role], nbytes, Reason.REPLACED))

    def plan(self) -> Plan:
        """All that was added."""
        source = self.adapter.source
        for name in self.adapter.beside:
            if self.naming is None:
                self._plan(name, name, source.tensors[name])
            else:
                self.dropped.append(Dropped(name, source.tensors[name].nbytes, Reason.JUNK))
        names = {one.name for one in self.tensors}
        if len(names) < len(self.tensors):
            raise ConversionRefused(
                f"{source.path} names one layer in two ways: under other names they would be one"
            )
        return Plan(
            tensors=tuple(self.tensors),
            dropped=tuple(self.dropped),
            renamed=tuple(self.renamed),
            added=frozenset(self.added),
            metadata=changed_metadata(
                source.header, self.ranks, self.resized_from, settled=self.settled
            ),
            operation=", ".join(self._operation()) or "to safetensors",
            notices=tuple(self._notices()),
        )

    def _operation(self) -> list[str]:
        words = []
        if self.dtype is not None:
            words.append(self.dtype.value)
        if self.naming is not None:
            words.append(f"{self.naming.keys} keys")
        if self.rule is not None and self.rule.keep is not None:
            words.append(f"{self.rule.keep} {self.rule.amount:g}")
        if self.rule is not None:
            words.append(f"rank {self.rule.rank}")
            if self.rule.conv_rank is not None:
                words.append(f"convolutions {self.rule.conv_rank}")
        return words

    def _notices(self) -> list[str]:
        told = []
        if self.adapter.silent:
            told.append(
                f"{self.adapter.silent:,} layers have an alpha of 0: they change nothing in most "
                "programs, and count as of full strength in kohya's"
            )
        if self.folded:
            exact = "exactly" if not self.rounded else f"rounded in {self.rounded:,} layers"
            told.append(
                f"alpha through rank is multiplied into the weights of {self.folded:,} layers "
                f"({exact}): the form has no alpha of its own"
            )
        if self.kept_rank and self.resized_from is None:
            told.append("no layer has a higher rank than asked for: all keep theirs")
        elif self.kept_rank:
            told.append(f"{self.kept_rank:,} layers keep their rank, which is no higher")
        return told
