"""A hub on loopback that answers as Civitai does, and small real models for it to serve."""
