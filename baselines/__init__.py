"""Rival models in the form the benchmark compares, installed as `toraeval.baselines`.

Each rival gets one folder: an embedded model trained on the same data as Tora nano, and a wrapper that runs
the authors' own repository. `toraeval` reaches them only through strings in its registry, so that leaving
this package out breaks nothing else.
"""
