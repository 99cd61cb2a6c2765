"""Group administration commands, virtio 1.4, 2.12.1."""
