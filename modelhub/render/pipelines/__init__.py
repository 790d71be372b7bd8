"""Pipelines of diffusers made of single files: read by our own readers, without a hub.

A :class:`~modelhub.render.pipelines.plans.Blueprint` says, without torch, which parts a recipe
has and where their tensors are; :func:`~modelhub.render.pipelines.assembling.assemble` makes the
modules of them, and :class:`~modelhub.render.pipelines.cache.PartsCache` keeps these warm.
"""
