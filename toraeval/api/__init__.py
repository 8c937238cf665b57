"""What a Python program calls: one clip scored or tracked, and metrics for training loops."""
