"""The network device with inline IPsec (virtio 1.4, 5.1), as a model without I/O.

:class:`Device` is what a driver talks to.  :class:`Limits` says what it can
do; its events are in :mod:`.events` and :mod:`.packet_events`.
"""

from ..ipsec import Reason, Refused
from .device import DEFAULT_MAC, Device
from .flow_filter import FlowTable, Rule
from .limits import ALL_SA_MODES, ALL_SELECTORS, Limits, SaModeCap, SelectorCap
from .receive import Place, Received
from .sa_params import ModelExtras

__all__ = [
    "ALL_SA_MODES",
    "ALL_SELECTORS",
    "DEFAULT_MAC",
    "Device",
    "FlowTable",
    "Limits",
    "ModelExtras",
    "Place",
    "Reason",
    "Received",
    "Refused",
    "Rule",
    "SaModeCap",
    "SelectorCap",
]
