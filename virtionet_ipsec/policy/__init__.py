"""From SA files to a driver: their SAs created, and packets matched with their ``select``."""

from .choose import Choice, Flow, flow_of, matcher, mirrored, never_chosen
from .create import NAT_T_PORT, create, refusal, udp_ports
from .describe import sa_parameters, sa_row

__all__ = [
    "NAT_T_PORT",
    "Choice",
    "Flow",
    "create",
    "flow_of",
    "matcher",
    "mirrored",
    "never_chosen",
    "refusal",
    "sa_parameters",
    "sa_row",
    "udp_ports",
]
