"""Where a verified file goes, under which name, and what stands beside it.

- :mod:`names`: server names made safe, and free variants of taken ones
- :mod:`kinds`, :mod:`layouts`, :mod:`templates`: the folder for a file
- :mod:`roots`: the folder made and probed
- :mod:`links`: content that is on disk already, linked instead of downloaded
- :mod:`sidecars`: files that other tools read
- :mod:`previews`, :mod:`preview_fetch`: the preview image

Knows nothing of the API's client, of transfers and of the catalog: it is given plain data.
"""
