"""Parts that stay in memory: used by every pipeline that has them, and dropped oldest first.

Nothing writes into a tensor of a part: whoever changes one (a LoRA) puts another in its place, and
the old one back. So a part that holds the numbers of its file is as good as the file itself, and
other precisions are made of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.convert.options import Precision
from modelhub.render.memory import Placement
from modelhub.render.pipelines.plans import DENOISERS, PartContent

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PartKey:
    """What is the same of two parts that can be one.

    :param device: as torch names it.
    """

    content: PartContent
    rounding: Precision | None
    computed: Precision
    device: str
    placement: Placement = Placement.RESIDENT
    eight_bit: bool = False


@dataclass(slots=True, eq=False)
class Part:
    """A module, and the tensors that it was made of.

    :param folder: its name in the pipelines.
    :param tensors: by the names of diffusers; the module's parameters are these.
    :param exact: they hold the very numbers of the file.
    :param notices: what is wrong with its numbers.
    """

    folder: str
    model_class: tuple[str, str]
    module: Any
    tensors: Mapping[str, torch.Tensor]
    exact: bool
    notices: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Of its tensors."""
        return _bytes_of([self.tensors])


class PartsCache:
    """Parts by their keys, and weights as they are in files, bounded in bytes.

    Not for several threads at a time.

    :param most: bytes of all together; what a pipeline in the making needs is kept beyond it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._parts: OrderedDict[PartKey, Part] = OrderedDict()
        self._weights: OrderedDict[PartContent, Mapping[str, torch.Tensor]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Of everything that is kept; tensors that several share count once."""
        parts = [one.tensors for one in self._parts.values()]
        return _bytes_of([*parts, *self._weights.values()])

    def part(self, key: PartKey) -> Part | None:
        """The part, if it is here; from now on the last to be dropped."""
        found = self._parts.get(key)
        if found is not None:
            self._parts.move_to_end(key)
        return found

    def keep(self, key: PartKey, part: Part) -> Part:
        """Keep a part; where one with the same numbers is here, that one instead.

        Different checkpoints often have the very same VAE and text encoders.
        """
        twin = None if part.folder in DENOISERS else self._twin(key, part)
        kept = part if twin is None else twin
        self._parts[key] = kept
        return kept

    def _twin(self, key: PartKey, part: Part) -> Part | None:
        for other, candidate in self._parts.items():
            if (
                other.content.config == key.content.config
                and (other.computed, other.device) == (key.computed, key.device)
                and other.placement is key.placement is Placement.RESIDENT
                and not (other.eight_bit or key.eight_bit)
                and candidate.model_class == part.model_class
                and _equal(candidate.tensors, part.tensors)
            ):
                # Rounded or not, these numbers are those of both files.
                candidate.exact = candidate.exact and part.exact
                return candidate
        return None

    def exact(self, content: PartContent) -> Mapping[str, torch.Tensor] | None:
        """The tensors of a part with the numbers of its file, in any type that holds them.

        From now on they are among the last to be dropped.
        """
        if content in self._weights:
            self._weights.move_to_end(content)
            return self._weights[content]
        for key, part in self._parts.items():
            resident = key.placement is Placement.RESIDENT and not key.eight_bit
            if key.content == content and part.exact and resident:
                self._parts.move_to_end(key)
                return part.tensors
        return None

    def keep_weights(self, content: PartContent, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep what a file holds, for other precisions to be made of it."""
        self._weights[content] = tensors

    def has_room(self, nbytes: int, *, using: Collection[PartKey] = ()) -> bool:
        """Whether so many bytes more fit, if all that is not in use is dropped."""
        used = _bytes_of([one.tensors for key, one in self._parts.items() if key in using])
        return used + nbytes <= self.most

    def make_room(
        self,
        nbytes: int,
        *,
        using: Collection[PartKey] = (),
        made_of: Iterable[PartContent] = (),
        free: int | None = None,
    ) -> None:
        """Drop what was not used for longest until so many bytes more fit.

        :param using: parts that stay, whatever they weigh.
        :param made_of: what is to be made, of the very numbers of its file: those go last.
        :param free: bytes of memory that nothing takes now, where that may be the tighter bound.
        """
        most = self.most if free is None else min(self.most, self.nbytes + free)
        for content in made_of:
            self.exact(content)
        kept = {id(self._parts[key]) for key in using if key in self._parts}
        while self.nbytes + nbytes > most:
            oldest = next((k for k, one in self._parts.items() if id(one) not in kept), None)
            if oldest is not None:
                del self._parts[oldest]
            elif self._weights:
                self._weights.popitem(last=False)
            else:
                return

    def make_way(self, content: PartContent, *, using: Collection[PartKey] = ()) -> None:
        """Drop the parts, and the weights, in whose memory another of the same settings fits
        exactly; not those of the content itself.

        :param using: parts that stay.
        """

        def is_alike(other: PartContent) -> bool:
            return other != content and (other.folder, other.config) == (
                content.folder,
                content.config,
            )

        for key in [key for key in self._parts if is_alike(key.content) and key not in using]:
            del self._parts[key]
        for other in [one for one in self._weights if is_alike(one)]:
            del self._weights[other]

    def drop(self, keys: Iterable[PartKey]) -> None:
        """Forget these parts, and the weights that they were made of."""
        for key in list(keys):
            self._parts.pop(key, None)
            self._weights.pop(key.content, None)

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
        self._weights.clear()


def _equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def _bytes_of(groups: Iterable[Mapping[str, torch.Tensor]]) -> int:
    sizes = {}
    for tensors in groups:
        for tensor in tensors.values():
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr() or id(tensor)] = storage.nbytes()
    return sum(sizes.values())
