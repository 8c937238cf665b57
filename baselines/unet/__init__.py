"""The denoiser, sampler and weights that the embedded rivals share."""
