"""The commands. Only here does the program print; torch is imported when a command has read its arguments."""
