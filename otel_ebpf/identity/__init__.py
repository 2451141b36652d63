"""Whose request it was: processes, services, discovery."""
