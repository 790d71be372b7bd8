"""The terminal UI: screens that call the services. It holds no logic of its own, and does whatever
takes time (disk, network, torch) in threads."""
