"""How raw files come: terms, download, extraction, import. `source.fetch` leads.

A folder of its own because nothing here can change a number: what it brings is checked byte by
byte. So an edit here prepares no data set anew (the fingerprint of preparation leaves it out).
"""
