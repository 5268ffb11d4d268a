"""The commands. Only they print; torch is imported after a command has read its arguments."""
