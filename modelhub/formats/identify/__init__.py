"""What a file is: told from its tensors, their shapes and its metadata, with the evidence kept.

The rules are data (:mod:`.rules`); the engine (:mod:`.engine`) asks them by exact names. Adapters
and the other small kinds have their own readers, which refuse what is none of theirs by a look at
a few names; what is left is a checkpoint or one of the components of one (:mod:`.whole`). What
the metadata and the file's name claim is put beside that at the end (:mod:`.claims`).
"""

from __future__ import annotations

from modelhub.formats.identify.adapters import identify_adapter
from modelhub.formats.identify.claims import with_claims
from modelhub.formats.identify.small_kinds import identify_small
from modelhub.formats.identify.whole import describe
from modelhub.formats.identity import Identity, ModelKind
from modelhub.formats.tensors import Header, SharedTensors

__all__ = ["identify"]


def identify(header: Header, *, name: str = "") -> Identity:
    """What the file with this header is, with the evidence for each thing that is said.

    Takes some microseconds for a LoRA and one or two milliseconds for a full checkpoint, and what
    the tensors tell is made out once for all files that share them; never raises, whatever the
    names, shapes and metadata are.

    :param name: the file's name; it gives guesses only, which are marked as such.
    """
    return with_claims(_by_tensors(header), header.metadata, name)


def _by_tensors(header: Header) -> Identity:
    tensors = header.tensors
    if not isinstance(tensors, SharedTensors) or header.parts:
        return _made_out(header)
    if tensors.identity is None:
        tensors.identity = _made_out(header)
    return tensors.identity


def _made_out(header: Header) -> Identity:
    identity = identify_adapter(header) or _identify_small(header)
    return describe(header).identity() if identity is None else identity


def _identify_small(header: Header) -> Identity | None:
    found = identify_small(header)
    if found is None or found.kind is not ModelKind.OTHER:
        return found
    # A full checkpoint may carry a model of another kind: SD 2's depth model has an estimator.
    whole = describe(header)
    return found if whole.get("kind") is None else whole.identity()
