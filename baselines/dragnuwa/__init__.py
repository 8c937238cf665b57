"""DragNUWA: multi-scale flow features in a U-Net through adaptive norm (arXiv 2308.08089)."""
