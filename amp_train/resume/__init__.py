"""Resuming a training: finding its checkpoint, comparing configurations, cutting back its files."""
