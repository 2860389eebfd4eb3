"""A configuration as a plan: its cells, runs, identities and files. Imports no torch, no pandas."""
