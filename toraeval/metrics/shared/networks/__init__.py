"""Networks behind the scores: published ones in our own code, and small ones that are shipped.

The small ones (`fvd_shapes`, `clipsim_shapes`, `lpips_shapes`) are trained on the procedural world that they judge
(`train model=shapes_clip` and `model=shapes_video`): their scores say nothing about other pictures and never stand in
a column with those of published networks.
"""
