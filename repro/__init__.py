"""A reproducible companion to five action-recognition papers: models, data, training, evidence."""

__version__ = "0.1.0"
