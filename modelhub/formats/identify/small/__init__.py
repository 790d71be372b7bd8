"""The small kinds of files, one module a kind or two."""
