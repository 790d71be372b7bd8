"""The trash: deleted models wait in a hidden folder of their root until they are wanted back.

:mod:`.throwing` moves them there, :mod:`.restoring` back, :mod:`.places` knows where they lie.
"""

from modelhub.services.trash.places import Batch, batches_of
from modelhub.services.trash.restoring import RestoreReport, empty, restore
from modelhub.services.trash.throwing import TrashReport, trash

__all__ = ["Batch", "RestoreReport", "TrashReport", "batches_of", "empty", "restore", "trash"]
