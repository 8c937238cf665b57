"""MotionCtrl: trajectory features added to the encoder of a U-Net (arXiv 2312.03641)."""
