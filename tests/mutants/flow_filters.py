"""Ways to make a device's flow filter wrong: its objects, the lookup, and what is done with what it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.ff_objects import ClassifierObjects
from virtionet_ipsec.device.flow_filter import Classifier, FlowTable, Rule
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.wire.enums import Opcode

Init = Callable[..., None]
Choose = Callable[[list[Rule]], Rule | None]


def with_table(kind: type[Any], **methods: Callable[..., Any]) -> Init:
    """A ``Device.__init__`` with a table of objects that has other ``methods``."""

    def init(device: Any, *args: Any, **parameters: Any) -> None:
        Device.__init__(device, *args, **parameters)
        table = device._objects._tables[kind.type]
        table.__class__ = type(kind.__name__, (kind,), dict(methods))

    return init


def with_handler(opcode: Opcode, before: Callable[[bytes], None]) -> Init:
    """A ``Device.__init__`` where ``before`` sees the data of a command first, and may refuse it."""

    def init(device: Any, *args: Any, **parameters: Any) -> None:
        Device.__init__(device, *args, **parameters)
        right = device._admin._handlers[opcode]

        def wrong(data: bytes) -> bytes:
            before(data)
            return bytes(right(data))

        device._admin._handlers[opcode] = wrong

    return init


def with_lookup(lookup: Callable[[FlowTable, bytes], Rule | None]) -> Init:
    """A ``Device.__init__`` where packets are looked up otherwise; the objects are as they should be."""

    class Lookup:
        def __init__(self, flows: FlowTable) -> None:
            self.flows = flows

        def lookup(self, frame: bytes) -> Rule | None:
            return lookup(self.flows, frame)

    def init(device: Any, *args: Any, **parameters: Any) -> None:
        Device.__init__(device, *args, **parameters)
        device.flow_table = Lookup(device.flow_table)

    return init


def choosing(choose: Choose) -> Init:
    """As :func:`with_lookup`: ``choose`` gets all rules that match, the one that should act first."""

    def lookup(flows: FlowTable, frame: bytes) -> Rule | None:
        ordered = sorted(flows.rules.values(), key=lambda rule: (-rule.group_priority, -rule.rule_priority))
        return choose([rule for rule in ordered if _alone(rule).lookup(frame)])

    return with_lookup(lookup)


def _alone(rule: Rule) -> FlowTable:
    """The rule in a table of its own."""
    flows = FlowTable()
    flows.put_rule(rule)
    return flows


def seeing(seen: Callable[[bytes], bytes]) -> Init:
    """As :func:`with_lookup`: rules are compared with ``seen(frame)``."""
    return with_lookup(lambda flows, frame: flows.lookup(seen(frame)))


def receiver(**methods: Any) -> type[Receiver]:
    """The receiver with other ``methods``."""
    return type("OtherReceiver", (Receiver,), {"__slots__": (), **methods})


def with_masks(alter: Callable[[Classifier], bytes]) -> Init:
    """As :func:`with_table`: a classifier with another mask than it was given."""

    def check(table: ClassifierObjects, selectors: list[Any]) -> Classifier:
        right = ClassifierObjects._check(table, selectors)
        return Classifier(right.types, alter(right))

    return with_table(ClassifierObjects, _check=check)
