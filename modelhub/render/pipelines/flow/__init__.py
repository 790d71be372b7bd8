"""Models of flow matching: a transformer, and parts that are mostly published beside it.

Stable Diffusion 3, Flux, Chroma, Z-Image, Lumina 2, AuraFlow, Qwen-Image, Krea 2, HiDream, Sana and
Wan: under which names a single file has the transformer (:mod:`.names`), which settings its shapes
tell (:mod:`.configs`), which text encoders go with it (:mod:`.encoders`) and which VAE
(:mod:`.autoencoders`), and all of it together (:mod:`.drawing`). Nothing here needs torch.
"""
