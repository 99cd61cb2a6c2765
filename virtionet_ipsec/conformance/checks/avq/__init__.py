"""Administration virtqueues, virtio 1.4, 2.13."""
