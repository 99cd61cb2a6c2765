"""``python -m virtionet_ipsec``."""

from .cli import main

main()
