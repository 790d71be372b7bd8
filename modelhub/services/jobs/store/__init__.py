"""The jobs of a library as rows of a table, which every process reads and writes directly.

What a user sees of jobs is here: asking, listing and stopping cost no more than a query. That they
are done, in order and within limits, whatever happens meanwhile, is the work of the engine of the
daemon (:mod:`modelhub.daemon`).
"""

from modelhub.services.jobs.store.attendance import Host, hosts_of
from modelhub.services.jobs.store.claims import Claims
from modelhub.services.jobs.store.hosts import HostLease
from modelhub.services.jobs.store.opening import JobDatabase, open_jobs
from modelhub.services.jobs.store.requests import JobRequests
from modelhub.services.jobs.store.suspects import Suspects
from modelhub.services.jobs.store.working import JobWork

__all__ = [
    "Claims",
    "Host",
    "HostLease",
    "JobDatabase",
    "JobRequests",
    "JobWork",
    "Suspects",
    "hosts_of",
    "open_jobs",
]
