"""Runs made again, perhaps on another machine: which ones, and whether they agree with the committed records."""
