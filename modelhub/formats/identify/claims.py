"""What tensors say and what metadata and names claim, put together.

Tensors win. A claim fills what they leave open, makes a word of theirs more exact where it may
(Flux Kontext has the tensors of Flux dev), and is kept as evidence where it says otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from modelhub.formats.identify.metadata import MetadataFacts, read
from modelhub.formats.identify.names import Guess, guesses
from modelhub.formats.identity import Evidence, Identity

_TOLD = ("kind", "architecture", "edition", "adapter", "family", "resolution")
"""Fields that metadata and tensors may both speak of."""
_TAKEN = ("title", "author", "trigger_words", "rank", "training", "claims")
"""Fields that are taken as they are, where tensors do not speak of them."""

_WRITER_ONLY = {"format"}

EXACTER: dict[tuple[str, str], frozenset[str]] = {
    ("flux", "dev"): frozenset({"kontext", "krea", "fill", "redux"}),
    ("flux", "canny or depth"): frozenset({"canny", "depth"}),
    ("sd3", "3.5 large"): frozenset({"3.5 large turbo"}),
    ("wan", "t2v 14B"): frozenset({"2.1 t2v 14B", "2.2 t2v 14B"}),
    ("wan", "14B"): frozenset({"2.1 t2v 14B", "2.2 t2v 14B", "2.2 i2v 14B"}),
    ("qwen", ""): frozenset({"edit", "edit 2509", "edit 2511"}),
}
"""Editions that have the tensors of another: by architecture and the edition of the tensors."""


def with_claims(identity: Identity, metadata: Mapping[str, str], name: str) -> Identity:
    """`identity`, completed by what the metadata and the name of the file claim."""
    # All that most files say is that torch wrote them.
    if metadata and metadata.keys() != _WRITER_ONLY:
        identity = _with_facts(identity, read(metadata))
        if "scheduler/prediction_type" in metadata:
            identity = _with_scheduler(identity, metadata["scheduler/prediction_type"])
    if name:
        for guess in guesses(name, identity):
            identity = _with_guess(identity, guess)
    return identity


def _with_facts(identity: Identity, facts: MetadataFacts) -> Identity:
    said: defaultdict[str, list[Evidence]] = defaultdict(list)
    for one in facts.evidence:
        said[one.field].append(one)
    changes: dict[str, Any] = {}
    evidence = list(identity.evidence)
    alike = facts.architecture in (None, identity.architecture) or identity.architecture is None
    for field in _TOLD:
        claimed: str | None = getattr(facts, field)
        if claimed is None:
            continue
        told: str | None = getattr(identity, field)
        if told is None:
            if alike or field == "resolution":
                changes[field] = claimed
                # Without a tensor that says so, a kind is only what somebody wrote.
                evidence += said[field] if field != "kind" else map(_doubted, said[field])
        elif told.casefold() != claimed.casefold():
            if field == "edition" and alike and _exacter(identity, claimed):
                changes[field] = claimed
                evidence += said[field]
            else:
                evidence += map(_contradicted, said[field][:1])
    for field in _TAKEN:
        value = getattr(facts, field)
        if value and not getattr(identity, field):
            changes[field] = value
            evidence += said[field] or (Evidence(field, _short(value), "the metadata"),)
    if facts.variants and alike:
        new = [one for one in said["variants"] if one.value not in identity.variants]
        changes["variants"] = (*identity.variants, *(one.value for one in new))
        evidence += new
    return msgspec.structs.replace(identity, **changes, evidence=tuple(evidence))


def _with_scheduler(identity: Identity, prediction: str) -> Identity:
    """`identity`, with what the scheduler of a diffusers folder is set to."""
    if prediction != "v_prediction":
        return identity
    because = "metadata: prediction_type of the scheduler is v_prediction"
    changes: dict[str, Any] = {}
    evidence = list(identity.evidence)
    if identity.architecture == "sd2" and identity.edition is None:
        changes["edition"] = "768-v"
        evidence.append(Evidence("edition", "768-v", because))
    if "v-prediction" not in identity.variants:
        changes["variants"] = (*identity.variants, "v-prediction")
        evidence.append(Evidence("variants", "v-prediction", because))
    return msgspec.structs.replace(identity, **changes, evidence=tuple(evidence))


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(value)
    return str(value)


def _doubted(one: Evidence) -> Evidence:
    return Evidence(one.field, one.value, one.because, False)


def _contradicted(one: Evidence) -> Evidence:
    """A claim against the tensors."""
    return Evidence(one.field, one.value, f"{one.because}, which the tensors do not say", False)


def _exacter(identity: Identity, edition: str) -> bool:
    key = (identity.architecture or "", identity.edition or "")
    return edition in EXACTER.get(key, frozenset())


def _with_guess(identity: Identity, guess: Guess) -> Identity:
    told = getattr(identity, guess.field)
    evidence = identity.evidence
    value: Any
    if guess.field == "variants":
        if guess.value in told:
            return identity
        value = (*told, guess.value)
    elif told is None:
        value = guess.value
    elif guess.field == "edition" and _exacter(identity, guess.value):
        value = guess.value
        # What the tensors say holds of several editions: the one that is named is a guess.
        evidence = tuple(_doubted(one) if one.field == "edition" else one for one in evidence)
    else:
        return identity
    said = Evidence(guess.field, guess.value, guess.because, False)
    return msgspec.structs.replace(identity, **{guess.field: value}, evidence=(*evidence, said))
