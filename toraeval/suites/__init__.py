"""Suites: where test cases come from."""
