"""The page on which paths are drawn."""
