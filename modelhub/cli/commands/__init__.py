"""The commands, one module each; `modelhub.cli.table` says which module holds which."""
