"""An executable reference model of a virtio-net device with inline IPsec."""

__version__ = "0.1.0"
