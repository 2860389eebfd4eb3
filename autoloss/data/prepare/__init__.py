"""Raw rows to encoded arrays (paper §3.1): `dataset.prepare` leads."""
