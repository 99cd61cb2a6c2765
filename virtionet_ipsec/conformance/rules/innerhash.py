"""Inner header hash, virtio 1.4, 5.1.9.4.4."""

from __future__ import annotations

from ...wire.enums import CtrlClass, Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import needs, on_control
from ..watching.rule import Finding
from ..watching.view import View

_SET = (int(CtrlClass.HASH_TUNNEL), 0)
_SUPPORTED_AT = 24  # supported_tunnel_types in virtio_net_config
_DESCRIBED = (1 << 9) - 1  # GRE_2784 to NVGRE


@on_control("innerhash", _SET)
def negotiated(view: View, command: ControlCommand) -> Finding:
    """HASH_TUNNEL_SET is sent with VIRTIO_NET_F_HASH_TUNNEL only."""
    return needs(Feature.HASH_TUNNEL)(view, command)


@on_control("innerhash", _SET)
def supported(view: View, command: ControlCommand) -> Finding:
    """enabled_tunnel_types has bits of supported_tunnel_types only."""
    beyond = command.number(0, 4) & ~view.configured(_SUPPORTED_AT, 4)
    return [f"enabled_tunnel_types has {beyond:#x}, which supported_tunnel_types lacks"] if beyond else []


@on_control("innerhash", _SET)
def ignores_unknown(view: View, command: ControlCommand) -> Finding:
    """enabled_tunnel_types has bits that the specification describes only."""
    beyond = command.number(0, 4) & ~_DESCRIBED
    return [f"enabled_tunnel_types has {beyond:#x}, which nothing describes"] if beyond else []
