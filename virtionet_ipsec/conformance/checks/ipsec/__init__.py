"""IPsec operation, virtio 1.4, 5.1.9.7."""
