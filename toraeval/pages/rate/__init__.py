"""The page on which people compare two runs without knowing which is which, and what their votes say."""
