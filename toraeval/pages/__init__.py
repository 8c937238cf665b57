"""Pages that people work in: one HTML file each, from a small server on this machine or opened as a file."""
