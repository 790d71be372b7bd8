"""Civitai: references as people write them, typed answers, the API client, the choice of a file.

Import from the modules themselves: `references` is cheap and pure, `client` brings the network.
"""
