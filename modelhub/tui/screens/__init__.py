"""The screens, each imported when it is first shown: see :mod:`modelhub.tui.sections`."""
