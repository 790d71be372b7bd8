"""What is here more than once: the same bytes, the same weights, the same VAE; and linking it."""

from modelhub.services.dupes.linking import LinkReport, link_copies
from modelhub.services.dupes.model import DupesReport, Group, Member, Part, Same
from modelhub.services.dupes.run import dupes

__all__ = [
    "DupesReport",
    "Group",
    "LinkReport",
    "Member",
    "Part",
    "Same",
    "dupes",
    "link_copies",
]
