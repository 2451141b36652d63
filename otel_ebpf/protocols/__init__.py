"""Wire protocols, sans-IO, one file each."""
