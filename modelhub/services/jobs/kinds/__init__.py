"""Each kind of job: the struct of its arguments, and the function that does it (`WORK`)."""
