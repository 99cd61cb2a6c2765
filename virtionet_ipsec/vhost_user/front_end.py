"""The front end: a driver's way to the device at the end of a vhost-user socket (vhost-user.rst).

    QueuePort, or anybody's rings -- FrontEnd -- AF_UNIX socket, shared memory, eventfds -- back end

What the back end does not have is done without (D153):

    STATUS               the status field is kept here: FEATURES_OK is SET_FEATURES that was taken
    RESET_DEVICE         with neither of the two, a reset is a new connection
    REPLY_ACK            what is refused is seen when the back end hangs up
    CONFIG               features with a field in the configuration space are not offered
    CONFIGURE_MEM_SLOTS  SET_MEM_TABLE
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from ..wire.enums import Feature, Status
from .asking import BackEndFailed
from .front_connection import BESIDE, FrontConnection
from .messages import PROTOCOL_FEATURES_BIT, ProtocolFeature, Request, u64

_PACKED_START = 1 << 15 | 1 << 31  # SET_VRING_BASE of a packed ring that begins: both wrap counters are 1 (2.8.1)
_LOOK_AGAIN = 0.05  # seconds after which rings are looked at although nobody notified
_THE_DRIVERS = int(Status.ACKNOWLEDGE | Status.DRIVER | Status.DRIVER_OK | Status.FEATURES_OK | Status.FAILED)
_DRIVER_THERE = int(Status.ACKNOWLEDGE | Status.DRIVER)


class FrontEnd(FrontConnection):
    """The device at the other end of a connection; a :class:`~virtionet_ipsec.virtqueue.transport.Transport`."""

    _status = 0  # what was written, or where there is no STATUS, what is read
    _driver_features = 0
    _refused = ""

    # -- the connection ------------------------------------------------------------------------------------------

    def _connect_afresh(self) -> None:
        """A new connection to a device that nothing was done to but that its driver is there."""
        self._asking.close()
        self._rings.forget()
        self._connect(self.timeout)
        self._status &= _DRIVER_THERE
        if self.early and self._status:
            self._asking.must(Request.SET_STATUS, u64(self._status))

    def reconnect(self, bases: Mapping[int, int], patience: float | None = None) -> None:
        """Go on with a back end that takes the place of one that was killed: nothing is set up anew.

        ``bases`` tells for each queue where it goes on (SET_VRING_BASE); with a region for what is in flight the back
        end knows better.  ``patience`` is how long the new one may take to be there, in seconds.
        """
        self._asking.close()
        self.beside.reopen()
        self._connect(self.timeout if patience is None else patience)
        accepted = _DRIVER_THERE | int(Status.FEATURES_OK)
        statuses = (_DRIVER_THERE, accepted, accepted | int(Status.DRIVER_OK))
        if self.early:
            self.set_status(statuses[0])
        if refused := self._send_features():
            raise BackEndFailed(f"the back end at {self.path} is another than before: {refused}")
        if self.early:
            self.set_status(statuses[1])
        self._rings.start_again(bases)
        if self.early:
            self.set_status(statuses[2])

    # -- status, features -------------------------------------------------------------------------

    def set_driver_features(self, value: int) -> None:
        self._driver_features = value
        if self.early:
            self._refused = self._send_features()

    def _send_features(self) -> str:
        """SET_FEATURES, and those beside the connection; why they are refused, or ""."""
        low, beside = self._driver_features & ~BESIDE, self._driver_features & BESIDE
        if strange := (low & self._offered | beside) & ~self.features:
            return f"features {strange:#x} are not carried here"
        if not self.beside.accept(beside):
            return self.beside.last_refusal() or f"features {beside:#x} were refused"
        low |= self._offered & PROTOCOL_FEATURES_BIT
        if self._asking.acknowledged:
            return "" if self._asking.tell(Request.SET_FEATURES, u64(low)) else f"SET_FEATURES {low:#x} was refused"
        try:
            self._asking.tell(Request.SET_FEATURES, u64(low))
            self._asking.ask_number(Request.GET_FEATURES)
        except BackEndFailed:
            self._connect_afresh()
            return f"the back end hung up after SET_FEATURES {low:#x}"
        return ""

    @property
    def status(self) -> int:
        """The device status field (2.1)."""
        if self.early:
            return self._asking.ask_number(Request.GET_STATUS) & 0xFF
        if self._rings.failed:
            self._status |= int(Status.DEVICE_NEEDS_RESET)
        return self._status

    def set_status(self, value: int) -> None:
        if not value:
            self._reset()
        elif self.early:
            if self._refused:
                value &= ~int(Status.FEATURES_OK)
            self._status = value
            self._asking.must(Request.SET_STATUS, u64(value))
        else:
            self._keep_status(value)

    def _keep_status(self, value: int) -> None:
        """Bits are added, and those that come too early are not."""
        added = value & ~self._status & _THE_DRIVERS
        if added & Status.FEATURES_OK:
            self._refused = self._send_features()
            if self._refused:
                added &= ~int(Status.FEATURES_OK)
        if not (self._status | added) & Status.FEATURES_OK:
            added &= ~int(Status.DRIVER_OK)
        self._status |= added

    def _reset(self) -> None:
        self._status = self._driver_features = 0
        self._refused = ""
        if self.early or self._has(ProtocolFeature.RESET_DEVICE):
            self._rings.stop_all()  # some (DPDK) take no features for a device whose rings run, whatever its status
        if self.early:
            self._asking.must(Request.SET_STATUS, u64(0))
        elif self._has(ProtocolFeature.RESET_DEVICE):
            self._asking.must(Request.RESET_DEVICE)
        else:
            self._connect_afresh()
        self._rings.forget()

    @property
    def last_refusal(self) -> str:
        return self._refused or self.beside.last_refusal()

    # -- queues --------------------------------------------------------------------------------------------------

    def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
        base = _PACKED_START if self._driver_features >> Feature.RING_PACKED & 1 else 0
        self._rings.start(index, size, addresses, base)

    def stop(self, index: int) -> None:
        self._rings.stop(index, alone=bool(self._driver_features >> Feature.RING_RESET & 1))

    def pause(self, index: int) -> None:
        """Stop virtqueue ``index``, and let it go on where it was."""
        self._rings.pause(index)

    def kick(self, index: int) -> None:
        self._rings.kick(index)

    def wait(self, ready: Callable[[], bool], must: bool = True) -> bool:
        """Let the back end work until ``ready()``; gives whether it is.

        Without ``must`` that need not come; with it, a back end that takes longer than the timeout, or a device that
        says DEVICE_NEEDS_RESET, gives False.
        """
        if ready():
            return True
        if self.beside.sync() and (ready() or not must):
            return ready()
        end = monotonic() + (self.timeout if must else self.beside.grace)
        while not ready():
            left = end - monotonic()
            if left <= 0 or (must and self.status & Status.DEVICE_NEEDS_RESET):
                return ready()
            self.sleep(min(left, _LOOK_AGAIN))
        return True

    def sleep(self, seconds: float) -> None:
        """Wait until the back end notifies of something, ``seconds`` at the most; raises when it goes away."""
        poll = select.poll()
        for fd in (*self._rings.calls, self._asking.fileno()):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(seconds * 1000):
            if fd == self._asking.fileno():
                raise BackEndFailed(f"the back end at {self.path} hung up, or speaks unasked")
            self._rings.hear(fd)

    def notified(self, index: int) -> bool:
        return self._rings.notified(index)

    # -- beside the queues ---------------------------------------------------------------------------------------

    admin_index: None = None
    """There is no administration virtqueue: commands go beside the connection."""

    @property
    def control_elsewhere(self) -> bool:
        """Many a back end counts on its front end for that; what has features beside the connection is all there is."""
        return not self._upper

    def admin(self, readable: bytes, writable_len: int) -> bytes:
        return self.beside.admin(readable, writable_len)

    def arrive(self, frame: bytes) -> None:
        self.beside.arrive(frame)

    def frames(self) -> tuple[bytes, ...]:
        return self.beside.frames()
