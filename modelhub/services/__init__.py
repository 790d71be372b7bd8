"""The use cases: plain arguments and a progress listener in, a result object out."""
