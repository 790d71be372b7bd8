"""Match: what Civitai and the sidecars of other tools say of the files that are here."""

from modelhub.services.match.ask import MatchReport, match
from modelhub.services.match.sidecars import (
    SidecarReport,
    import_sidecars,
    import_sidecars_beside,
)

__all__ = ["MatchReport", "SidecarReport", "import_sidecars", "import_sidecars_beside", "match"]
