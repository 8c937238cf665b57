"""Running the authors' own code in its own Python environment, as one child process for all cases of a run."""
