"""Measurements of what the project promises about time and memory; results as JSON in `results/`."""
