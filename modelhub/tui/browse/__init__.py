"""The parts of the Browse screen."""
