"""Which rules of identification these are; apart, so that asking for it loads none of them."""

from __future__ import annotations

IDENTIFICATION = 1
"""To be raised by one whenever the same headers may be told better than before: the next index run
of each root then reads the headers of all its files once more."""
