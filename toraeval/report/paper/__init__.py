"""Tables and figures of the paper, from the CSV files that a bench left; only strips need its clips."""
