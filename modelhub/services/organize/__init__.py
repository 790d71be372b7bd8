"""Moving models into the layout of their root, and back.

:mod:`.planning` decides, :mod:`.applying` does, :mod:`.undo` reads the way back from the history,
:mod:`.journal` lets a killed run be brought to its end.
"""

from modelhub.services.organize.model import (
    Moved,
    Movement,
    OrganizeReport,
    Plan,
    Skipped,
)
from modelhub.services.organize.planning import Wish
from modelhub.services.organize.run import organize, undo
from modelhub.services.organize.undo import LAST, history

__all__ = [
    "LAST",
    "Moved",
    "Movement",
    "OrganizeReport",
    "Plan",
    "Skipped",
    "Wish",
    "history",
    "organize",
    "undo",
]
