"""An adapter: your device in the hands of the conformance suite, and of a recorded driver.

    virtionet-ipsec conformance device --target python:adapter:device

Replace ``self.dut`` by whatever reaches your device: registers, a socket, a
simulator.  Octets pass as they cross the boundary; sections are virtio 1.4's.
"""

from virtionet_ipsec.device import Device  # this example's device under test is the model


class Adapter:
    receive_buffer_size = 65536  # octets of each receive buffer that you post; checks may set it (5.1.9.3)

    def __init__(self):
        self.dut = Device()
        self.features = self.dut.features  # the offered features, a bit mask (2.2)

    @property
    def status(self):  # device status, read back (2.1)
        return self.dut.status

    def set_status(self, value):  # write it; 0 resets the device
        self.dut.set_status(value)

    def set_driver_features(self, value):  # write the driver's features, a bit mask
        self.dut.set_driver_features(value)

    def read_config(self, offset, length):  # octets of the configuration space (5.1.4)
        return self.dut.read_config(offset, length)

    def admin(self, readable, writable_len):  # one command: device-readable octets in, what the device wrote out (2.13)
        return self.dut.admin(readable, writable_len)

    def control(self, readable, writable_len):  # one command of the control virtqueue, likewise (5.1.9.5)
        return self.dut.control(readable, writable_len)

    def transmit(self, buffer, queue=0):  # virtio_net_hdr and frame in, a list of wire frames out; transmitq1 is 0
        return self.dut.transmit(buffer, queue)

    def receive(self, frame):  # a frame from the wire in; receive queue (receiveq1 is 0) and used buffers out, or None
        self.dut.receive_buffer_size = self.receive_buffer_size
        return self.dut.receive(frame)


def device():  # called once for each check
    return Adapter()
