"""The systems that are compared: a file each, and a file of requirements for each peer."""
