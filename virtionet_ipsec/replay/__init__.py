"""Captures in, captures and reports out: a device and its driver on recorded traffic."""
