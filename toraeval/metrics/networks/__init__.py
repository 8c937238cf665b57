"""Small networks behind the embedded scores `fvd_shapes`, `clipsim_shapes` and `lpips_shapes`.

They are trained on the procedural world they judge (`python -m toraeval.training.metric_nets`), so their scores say
nothing about other pictures and never stand in a column with those of published networks.
"""
