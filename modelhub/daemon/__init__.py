"""The daemon: the process that does a library's jobs and keeps its catalog in step with the disk.

Read :mod:`.process` first. The jobs are rows of a table that everybody reads and writes
(:mod:`modelhub.services.jobs.store`); the daemon gives those whose turn it is to its engine
(:mod:`.dispatch`), DBOS, which runs each as a durable workflow within the limit of its queue
(:mod:`.engine`); what a run comes to is in :mod:`.perform`.
"""
