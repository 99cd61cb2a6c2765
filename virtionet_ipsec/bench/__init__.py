"""How fast the model is, beside the bare cipher and scapy on the same packets."""
