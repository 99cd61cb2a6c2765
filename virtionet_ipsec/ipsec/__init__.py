"""ESP and AH on bytes (RFC 4301 to 4303): the engine.  It knows nothing of virtio.

An SA's parameters are :class:`SaParams`; :class:`OutboundSa` protects packets
with them, :class:`InboundSa` takes the protection off what :func:`locate`
found.  A packet that cannot be processed raises :class:`Refused` with a
:class:`Reason`, and no packet raises anything else.
"""

from .events import Event, Observer
from .inbound import InboundSa
from .locate import locate
from .outbound import OutboundSa
from .reasons import Reason, Refused
from .sa import (
    Direction,
    Lifetime,
    Mode,
    ParameterError,
    Protocol,
    SaParams,
    SaState,
    Tunnel,
    UdpEncap,
    rekeyed_field,
)

__all__ = [
    "Direction",
    "Event",
    "InboundSa",
    "Lifetime",
    "Mode",
    "Observer",
    "OutboundSa",
    "ParameterError",
    "Protocol",
    "Reason",
    "Refused",
    "SaParams",
    "SaState",
    "Tunnel",
    "UdpEncap",
    "locate",
    "rekeyed_field",
]
