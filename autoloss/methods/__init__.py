"""How candidate losses are weighted: what every method is, and those that others build on."""
