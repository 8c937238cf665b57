"""Wan2.1-Fun-V1.1-Control, steered by a control video of white spots (VideoX-Fun)."""
