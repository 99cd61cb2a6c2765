"""Memory that a driver gives to its rings and buffers, piece after piece."""

from __future__ import annotations

from .memory import ADDRESS_END


class Arena:
    """``octets`` (format "B", writable) begin at guest address ``address``; they are taken piece by piece."""

    def __init__(self, octets: memoryview, address: int) -> None:
        if not 0 <= address <= ADDRESS_END - len(octets):
            raise ValueError(f"{len(octets)} octets at address {address:#x} are outside the 64-bit address space")
        self.octets = octets
        self.address = address
        self.taken = 0
        """Octets that are taken; set it back to free what was taken since."""

    def take(self, length: int, align: int = 16) -> int:
        """The guest address of ``length`` octets, a multiple of ``align``.  MemoryError when too few are left.

        They are not cleared.
        """
        at = -(-(self.address + self.taken) // align) * align - self.address
        if at + length > len(self.octets):
            raise MemoryError(f"{length} octets of driver memory are wanted, and {len(self.octets) - at} are left")
        self.taken = at + length
        return self.address + at

    def view(self, address: int, length: int) -> memoryview:
        """``length`` octets at a guest address, shared.  ValueError for what is not in this memory."""
        at = address - self.address
        if not 0 <= at <= at + length <= len(self.octets):
            raise ValueError(f"{length} octets at address {address:#x} are not in this memory")
        return self.octets[at : at + length]
