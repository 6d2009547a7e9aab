"""Evaluation of a model beside its base: `python -m eval.run`."""
