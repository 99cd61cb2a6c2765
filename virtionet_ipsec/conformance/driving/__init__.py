"""How checks drive a device: the rig, packets, security associations, the flow filter, and what many checks share."""
