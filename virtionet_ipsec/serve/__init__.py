"""The running back end: event loop, wires, the segment, transparent IPsec, the control socket."""
