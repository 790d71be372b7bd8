"""The full-text index: what goes into it (`words`, `facts`), how it is asked (`expression`), and
the two databases' own ways of keeping it (`sqlite`, `postgres`)."""
