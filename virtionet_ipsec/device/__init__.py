"""The network device with inline IPsec (virtio 1.4, 5.1), as a model without I/O.

:class:`Device` is what a driver talks to.  :class:`Limits` says what it can
do; its events are in :mod:`.events` and :mod:`.packet_events`.
"""

from .device import Device
from .flow_filter import FlowTable, Rule
from .limits import ALL_SA_MODES, ALL_SELECTORS, Limits, SaModeCap, SelectorCap
from .receive import Received
from .sa_params import ModelExtras

__all__ = [
    "ALL_SA_MODES",
    "ALL_SELECTORS",
    "Device",
    "FlowTable",
    "Limits",
    "ModelExtras",
    "Received",
    "Rule",
    "SaModeCap",
    "SelectorCap",
]
