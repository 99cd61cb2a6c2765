"""MAC address filtering, virtio 1.4, 5.1.9.5.2."""

from __future__ import annotations

from ...wire.enums import CtrlClass, CtrlMac, Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import needs, on_control
from ..watching.rule import Finding
from ..watching.view import View

_TABLE_SET = (int(CtrlClass.MAC), int(CtrlMac.TABLE_SET))
_ADDR_SET = (int(CtrlClass.MAC), int(CtrlMac.ADDR_SET))


@on_control("mac", _TABLE_SET, _ADDR_SET)
def unnegotiated(view: View, command: ControlCommand) -> Finding:
    """Commands of the MAC class are sent with VIRTIO_NET_F_CTRL_RX, ADDR_SET with VIRTIO_NET_F_CTRL_MAC_ADDR, too."""
    if command.key == _ADDR_SET and view.has(Feature.CTRL_MAC_ADDR):
        return []
    return needs(Feature.CTRL_RX)(view, command)


@on_control("mac", _TABLE_SET)
def table_layout(view: View, command: ControlCommand) -> Finding:
    """TABLE_SET has two counts, each with as many addresses behind it: of stations, then of groups."""
    found: list[str] = []
    at = 0
    for kind, group in (("unicast", 0), ("multicast", 1)):
        entries = command.number(at, 4)
        at += 4
        held = max(len(command.data) - at, 0) // 6
        if at > len(command.data) or entries > held:
            return [*found, f"the {kind} table has {entries} entries, and the command room for {held} addresses"]
        addresses = [command.data[start : start + 6] for start in range(at, at + 6 * entries, 6)]
        at += 6 * entries
        wrong = [each for each in addresses if each[0] & 1 != group]
        found += [f"{wrong[0].hex(':')} in the {kind} table"] if wrong else []
    if at < len(command.data):
        found.append(f"{len(command.data) - at} octets behind the two tables")
    return found
