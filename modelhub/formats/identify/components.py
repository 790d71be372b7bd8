"""Which component the tensors under a prefix are: diffusion model, VAE, text or image encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from modelhub.formats.identify.engine import Rule, View
from modelhub.formats.identify.parts import Role
from modelhub.formats.identify.rules import diffusion, image_encoders, text_encoders, vaes


@dataclass(frozen=True, slots=True)
class Component:
    """One component: what it is for, the rule that told it, the tensors it was told from."""

    role: Role
    rule: Rule
    view: View

    @property
    def reason(self) -> str:
        """Why, for people."""
        return self.view.reason(self.rule)


_TABLES: dict[Role, tuple[tuple[Rule, ...], tuple[str, ...]]] = {
    Role.UNET: (diffusion.ARCHITECTURES, diffusion.WRAPPERS),
    Role.VAE: (vaes.VAES, vaes.WRAPPERS),
    Role.TEXT_ENCODER: (text_encoders.TEXT_ENCODERS, text_encoders.WRAPPERS),
    Role.IMAGE_ENCODER: (image_encoders.IMAGE_ENCODERS, image_encoders.WRAPPERS),
}


def find(view: View, *roles: Role) -> Component | None:
    """The first component of one of the roles, in their order."""
    search = _find_under if view.prefix else _find_bare
    for role in roles:
        found = search(view, role)
        if found is not None:
            return found
    return None


def _find_under(view: View, role: Role) -> Component | None:
    rules, wrappers = _TABLES[role]
    for wrapper in wrappers:
        inner = view.under(wrapper) if wrapper else view
        rule = inner.first(rules)
        if rule is not None:
            return Component(role, rule, inner)
    return None


@cache
def _names(role: Role) -> tuple[tuple[str, str, Rule], ...]:
    rules, wrappers = _TABLES[role]
    return tuple((wrapper + rule.key, wrapper, rule) for wrapper in wrappers for rule in rules)


def _find_bare(view: View, role: Role) -> Component | None:
    # A file that is none of all this has been asked for every name: they are put together once.
    tensors = view.tensors
    for name, wrapper, rule in _names(role):
        if name in tensors:
            inner = view.under(wrapper)
            if inner.holds(rule):
                return Component(role, rule, inner)
    return None
