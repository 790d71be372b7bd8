"""The parts of the Convert screen."""
