"""`updates`: newer versions of what is here.

:mod:`.newer` says which versions those are, :mod:`.ask` asks Civitai and records the answers.
"""

from modelhub.services.updates.ask import GoneModel, UncheckedModel, UpdatesReport, updates
from modelhub.services.updates.newer import Here, Update

__all__ = ["GoneModel", "Here", "UncheckedModel", "Update", "UpdatesReport", "updates"]
