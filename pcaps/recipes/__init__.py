"""How the captures outside linux/ are made: struct, hashlib, `cryptography`, and nothing of what they test."""
