"""The 2025 RFC: what its slides ask of a device.  Every check is for the profile rfc-v1 alone."""
