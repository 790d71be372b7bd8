"""`pull`: from a reference to a verified, placed and catalogued file.

Read :mod:`.session` first: the stages are one module each, in the order in which they run.
"""

from modelhub.services.pull.outcome import FailedPull, PulledFile, PullOptions, PullOutcome
from modelhub.services.pull.together import pull, pull_one

__all__ = ["FailedPull", "PullOptions", "PullOutcome", "PulledFile", "pull", "pull_one"]
