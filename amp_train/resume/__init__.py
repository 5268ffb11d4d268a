"""Continuing a training: what is saved, found, compared, cut back and put back."""
