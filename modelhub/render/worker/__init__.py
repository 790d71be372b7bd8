"""The process that renders: it alone imports torch, and its death ends nothing else.

:class:`modelhub.render.client.RenderWorker` starts it and talks to it (:mod:`.protocol`). The
modules :mod:`.protocol`, :mod:`.failures`, :mod:`.started` and :mod:`.output` know nothing of
torch and serve both sides; the others live in the process.
"""
