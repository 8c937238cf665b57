"""LTX-2.3 with the IC-LoRA for motion tracks (Lightricks)."""
