"""Virtqueues in shared memory (virtio 1.4, 2.6 to 2.8): split and packed, the device's side and the driver's."""
