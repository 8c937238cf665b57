"""ATI: any-trajectory instruction on Wan2.1 (bytedance/ATI)."""
