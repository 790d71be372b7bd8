"""What is in a file: its hashes, its format, and what kind of model it holds."""
