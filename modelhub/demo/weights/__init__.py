"""Small Stable Diffusion files of the true layout, made from a seed."""
