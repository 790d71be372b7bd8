"""The parts of the Jobs screen."""
