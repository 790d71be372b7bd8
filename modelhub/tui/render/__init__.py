"""The parts of the Render screen."""
