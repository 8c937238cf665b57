"""Wan-Move: first-frame latents copied along the path, without any motion network (arXiv 2512.08765)."""
