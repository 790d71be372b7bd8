"""Files beside a model that other tools read: `STEM.civitai.info`, `STEM.json` and their like.

Each writer is a module that builds the JSON its tool reads and says how it merges with a file that
is there already (:mod:`modelhub.placement.sidecars.contract`); :func:`write_sidecars` runs them.
"""

from modelhub.placement.sidecars.contract import SidecarFacts
from modelhub.placement.sidecars.write import (
    SidecarResult,
    Written,
    sidecar_path,
    write_sidecars,
)

__all__ = ["SidecarFacts", "SidecarResult", "Written", "sidecar_path", "write_sidecars"]
