"""The flow filter's array capabilities: selectors and actions (virtio 1.4, 5.1.9.6 Flow filter)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..wire.capabilities import FfActionCap, FfSelectorCap
from ..wire.codec import build, parse
from ..wire.enums import Action, CapId, SelectorFlag, SelectorType
from .capability import Capability
from .header_fields import partly_masked
from .limits import SelectorCap
from .refusal import invalid_field

_IPSEC_ACTIONS = frozenset((Action.IPSEC, Action.IPSEC_RECIRCULATE))


def check_selector(selector: Any, allowed: Mapping[SelectorType, SelectorCap], whose: str) -> SelectorCap:
    """A parsed virtio_net_ff_selector as far as ``allowed`` covers it.

    ``whose`` names ``allowed`` in the words of a refusal.  Both the driver's
    capability and its classifiers are held against a capability this way.
    """
    if selector.type not in allowed:
        raise invalid_field(f"selector type {selector.type} is not in {whose}")
    have = allowed[selector.type]
    name, length = have.type.name, len(have.mask)
    if selector.length != length:
        raise invalid_field(f"selector {name}: length {selector.length} is not the {length} octets of its header")
    if extra := selector.flags & ~int(have.flags):
        raise invalid_field(f"selector {name}: flags {extra:#04x} are not in {whose}")
    if any(wanted & ~had for wanted, had in zip(selector.mask, have.mask, strict=True)):
        raise invalid_field(f"selector {name}: the mask has bits that are not in {whose}")
    if not selector.flags & SelectorFlag.PARTIAL_MASK and (field := partly_masked(have.type, selector.mask)):
        raise invalid_field(f"selector {name}: the mask covers a part of {field} and PARTIAL_MASK is not set")
    return SelectorCap(have.type, selector.mask, SelectorFlag(selector.flags))


class FfSelectorCapability(Capability[Mapping[SelectorType, SelectorCap]]):
    """FF_SELECTOR_CAP: entries in the order of their types, each once."""

    def __init__(self, device: Mapping[SelectorType, SelectorCap]) -> None:
        super().__init__(CapId.FF_SELECTOR_CAP, {})
        self._device = device

    def device_data(self) -> bytes:
        entries = [
            {"type": each.type, "flags": each.flags, "length": len(each.mask), "mask": each.mask}
            for each in self._device.values()
        ]
        return build(FfSelectorCap, selectors=entries)

    def check(self, data: bytes) -> Mapping[SelectorType, SelectorCap]:
        selectors: dict[SelectorType, SelectorCap] = {}
        last = 0
        for entry in parse(FfSelectorCap, data).selectors:
            checked = check_selector(entry, self._device, "the device's FF_SELECTOR_CAP")
            if checked.type <= last:
                raise invalid_field(f"selector {checked.type.name}: entries have to be in order of type, each once")
            last = checked.type
            selectors[checked.type] = checked
        return selectors


class FfActionCapability(Capability[frozenset[Action]]):
    """FF_ACTION_CAP: actions in ascending order; those of IPsec when ``ipsec()`` says that it is negotiated."""

    def __init__(self, device: frozenset[Action], ipsec: Callable[[], bool]) -> None:
        super().__init__(CapId.FF_ACTION_CAP, frozenset())
        self._device = device
        self._ipsec = ipsec

    def _offered(self) -> frozenset[Action]:
        return self._device if self._ipsec() else self._device - _IPSEC_ACTIONS

    def device_data(self) -> bytes:
        return build(FfActionCap, actions=sorted(self._offered()))

    def check(self, data: bytes) -> frozenset[Action]:
        offered = self._offered()
        last = 0
        actions: list[Action] = []
        for entry in parse(FfActionCap, data).actions:
            if entry not in offered:
                raise invalid_field(f"action {entry} is not in the device's FF_ACTION_CAP")
            if entry <= last:
                raise invalid_field(f"action {Action(entry).name}: actions have to be in ascending order, each once")
            last = entry
            actions.append(Action(entry))
        return frozenset(actions)
