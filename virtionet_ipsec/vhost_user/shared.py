"""The memory that a front end shares: memfds, with the addresses under which both sides speak of them."""

from __future__ import annotations

import mmap
import os
from typing import Any

from ..virtqueue.arena import Arena
from .asking import Asking
from .channel import close_all
from .messages import MemTable, Request, SingleMemRegion

# Far apart and above 32 bits, so that one kind of address taken for the other is found out.  Where this process has
# the memory mapped, nobody needs to know.
_GUEST_BASE, _USER_BASE, _APART = 1 << 36, 0x7F00_0000_0000, 1 << 32


class SharedMemory:
    """``size`` octets of a memfd, mapped; pieces are taken from :attr:`arena`.  ``number`` decides its addresses."""

    def __init__(self, size: int, number: int) -> None:
        self.number = number
        self.size = size
        self.fd = os.memfd_create("virtionet-ipsec-memory", os.MFD_CLOEXEC)
        os.truncate(self.fd, size)
        self.arena = Arena(memoryview(mmap.mmap(self.fd, size)), _GUEST_BASE + number * _APART)
        self._user_address = _USER_BASE + number * _APART

    def __contains__(self, guest_address: int) -> bool:
        return 0 <= guest_address - self.arena.address < self.size

    def user(self, guest_address: int) -> int:
        """The user address of a guest address here."""
        return guest_address - self.arena.address + self._user_address

    def fields(self) -> dict[str, int]:
        """What a MemRegion says of it."""
        address, user = self.arena.address, self._user_address
        return {"guest_address": address, "size": self.size, "user_address": user, "mmap_offset": 0}

    def close(self) -> None:
        """Here it goes with its last view, and the back end may have it still."""
        close_all([self.fd])
        self.fd = -1


class FrontMemory:
    """All memory of a front end, the first one of ``size`` octets.

    With CONFIGURE_MEM_SLOTS it is told and changed piece by piece, else as a table.
    """

    def __init__(self, size: int) -> None:
        self._shared = [SharedMemory(size, 0)]
        self._asking: Asking
        self._in_slots = False

    @property
    def first(self) -> SharedMemory:
        return self._shared[0]

    def share(self, asking: Asking, in_slots: bool) -> None:
        """Tell a back end all there is."""
        self._asking, self._in_slots = asking, in_slots
        if in_slots:
            for memory in self._shared:
                self._add(memory)
        else:
            self.set_table()

    def set_table(self) -> None:
        """Tell it as a table, also when it was told before: the back end maps all of it anew."""
        regions = [memory.fields() for memory in self._shared]
        table = MemTable.build({"num_regions": len(regions), "padding": 0, "regions": regions})
        self._asking.must(Request.SET_MEM_TABLE, table, [memory.fd for memory in self._shared])

    def add(self, size: int) -> SharedMemory:
        """Share another ``size`` octets, also while queues run."""
        memory = SharedMemory(size, max(each.number for each in self._shared) + 1)
        self._shared.append(memory)
        if self._in_slots:
            self._add(memory)
        else:
            self.set_table()
        return memory

    def remove(self, memory: SharedMemory) -> None:
        """Share ``memory`` no more; no ring and no buffer may be there."""
        self._shared.remove(memory)
        if self._in_slots:
            self._asking.must(Request.REM_MEM_REG, _slot(memory))
        else:
            self.set_table()
        memory.close()

    def _add(self, memory: SharedMemory) -> None:
        self._asking.must(Request.ADD_MEM_REG, _slot(memory), (memory.fd,))

    def user(self, guest_address: int) -> int:
        """The user address of a guest address.  Raises ValueError."""
        for memory in self._shared:
            if guest_address in memory:
                return memory.user(guest_address)
        raise ValueError(f"guest address {guest_address:#x} is in no memory")

    def close(self) -> None:
        for memory in self._shared:
            memory.close()


def _slot(memory: SharedMemory) -> Any:
    return SingleMemRegion.build({"padding": 0, "region": memory.fields()})
