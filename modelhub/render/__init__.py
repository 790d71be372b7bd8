"""Test-rendering: pipelines from single files, offline, in a worker process that stays warm."""
