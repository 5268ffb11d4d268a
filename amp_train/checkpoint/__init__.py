"""What is saved of a training, and how it is read back safely."""
