"""How raw files come: terms, lock, download, extraction, import. `autoloss.data.fetch` leads.

A folder of its own because nothing here can change a number: what it brings is checked byte by
byte. So an edit here prepares no data set anew (`records/fingerprint.py` hashes `data/*.py`).
"""
