"""The reference driver: what the specification asks of a driver, in the order in which it asks.

    reset, ACKNOWLEDGE, DRIVER -> features, FEATURES_OK -> DRIVER_OK
    -> LIST_QUERY, LIST_USE -> capabilities get and set -> objects -> packets

(virtio 1.4, 3.1.1 Device Initialization; 2.12.1; 5.1.9.7)
"""

from __future__ import annotations

from itertools import count, islice
from typing import Any

from ..ipsec import Direction, SaParams
from ..wire.capabilities import FfResourceCap, IpsecResourceCap
from ..wire.codec import parse
from ..wire.enums import Action, CapId, Feature, NetStatus, Opcode, ResourceType, SelectorType, Status
from ..wire.features import missing_requirements
from ..wire.net_hdr import HdrLayout, NetHdr
from ..wire.profile import Profile
from . import flow_rules
from .admin import AdminClient
from .control import ControlClient
from .errors import NegotiationError
from .packet import RxPacket
from .port import DevicePort
from .sa_object import sa_object
from .segmentation import to_segment

UNDERSTOOD = frozenset(
    {
        Feature.VERSION_1,
        Feature.ADMIN_VQ,
        Feature.CSUM,
        Feature.GUEST_CSUM,
        Feature.MTU,
        Feature.MAC,
        Feature.STATUS,
        Feature.MRG_RXBUF,
        Feature.OUT_NET_HEADER,
        Feature.IPSEC,
    }
)
"""The features that this driver accepts when they are offered, and it is told nothing."""

_OPCODES = frozenset(
    {
        Opcode.LIST_QUERY,
        Opcode.LIST_USE,
        Opcode.CAP_ID_LIST_QUERY,
        Opcode.DEVICE_CAP_GET,
        Opcode.DRIVER_CAP_SET,
        Opcode.RESOURCE_OBJ_CREATE,
        Opcode.RESOURCE_OBJ_MODIFY,
        Opcode.RESOURCE_OBJ_QUERY,
        Opcode.RESOURCE_OBJ_DESTROY,
    }
)

_STATUS_AT = 6  # offset in virtio_net_config

# A capability's structure, and the fields of which the least bounds a type (rules_per_group_limit: D53).
_LIMITS: dict[CapId, tuple[Any, dict[ResourceType, tuple[str, ...]]]] = {
    CapId.FF_RESOURCE_CAP: (
        FfResourceCap,
        {
            ResourceType.FF_GROUP: ("groups_limit", "rules_per_group_limit"),
            ResourceType.FF_CLASSIFIER: ("classifiers_limit",),
            ResourceType.FF_RULE: ("rules_limit", "rules_per_group_limit"),
        },
    ),
    CapId.IPSEC_RESOURCE_CAP: (
        IpsecResourceCap,
        {
            ResourceType.IPSEC_INB_SA: ("inb_sa_limit",),
            ResourceType.IPSEC_OUTB_SA: ("outb_sa_limit",),
        },
    ),
}

_SA_TYPE = {Direction.OUTBOUND: ResourceType.IPSEC_OUTB_SA, Direction.INBOUND: ResourceType.IPSEC_INB_SA}


class Driver:
    """Drives ``port``.  ``features``, a bit mask, limits what is accepted; None is all of :data:`UNDERSTOOD`.

    It can use VIRTIO_NET_F_HOST_TSO4, HOST_TSO6, HOST_USO and HOST_ECN as well, when they are among ``features``,
    and those of :data:`.control.CONTROLLED`, with ``control``.
    """

    def __init__(self, port: DevicePort, profile: Profile = Profile.VIRTIO_1_4, features: int | None = None) -> None:
        self.port = port
        self.profile = profile
        self.admin = AdminClient(port)
        self.control = ControlClient(port)
        self._features = sum(1 << bit for bit in UNDERSTOOD) if features is None else features
        self._ids: dict[ResourceType, int] = {}
        self.limits: dict[ResourceType, int] = {}  # how many objects there can be, and so where ids end
        self.sas: dict[ResourceType, set[int]] = {kind: set() for kind in _SA_TYPE.values()}  # the ids in use
        self._last_rule_priority = 0xFF  # what the field can hold, until the device has said less
        self._group_priorities: set[int] = set()
        self.udp_ports: set[int] = set()  # the destination ports that are steered into IPsec processing

    def start(self) -> Driver:
        """Negotiate and make ready; gives the driver itself.

        Raises :class:`NegotiationError` or :class:`AdminError`.
        """
        self.negotiate()
        if self.negotiated >> Feature.ADMIN_VQ & 1:
            self.set_up_commands()
            self.set_up_capabilities()
        return self

    def negotiate(self) -> None:
        """From reset to DRIVER_OK (3.1.1); sets ``negotiated``, ``layout`` and ``link_up``."""
        port = self.port
        port.set_status(0)  # the device has no objects after this
        self._group_priorities.clear()
        self.udp_ports.clear()
        for used in self.sas.values():
            used.clear()
        port.set_status(Status.ACKNOWLEDGE)
        port.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
        accepted = port.features & self._features
        missing = missing_requirements(accepted)
        if missing:
            port.set_status(port.status | Status.FAILED)
            raise NegotiationError("; ".join(missing))
        port.set_driver_features(accepted)
        port.set_status(port.status | Status.FEATURES_OK)
        if not port.status & Status.FEATURES_OK:
            why = port.last_refusal
            port.set_status(port.status | Status.FAILED)
            raise NegotiationError("FEATURES_OK was refused" + (f": {why}" if why else ""))
        self.negotiated = accepted
        self.layout = HdrLayout(self.profile, accepted)
        self._plain_header = self.layout.build(NetHdr())
        self.link_up = self.read_link_up()
        port.set_status(port.status | Status.DRIVER_OK)

    def read_link_up(self) -> bool:
        """Whether ``status`` of the configuration says that the link is up; without VIRTIO_NET_F_STATUS, it is."""
        if not self.negotiated >> Feature.STATUS & 1:
            return True
        return bool(int.from_bytes(self.port.read_config(_STATUS_AT, 2), "little") & NetStatus.LINK_UP)

    def set_up_commands(self) -> None:
        """LIST_QUERY, then LIST_USE with what is both supported and understood (2.12.1)."""
        self.admin.list_use(self.admin.list_query() & _OPCODES)

    def set_up_capabilities(self) -> None:
        """Take over every capability that the device has and the driver knows, whole (2.12.1.2, 5.1.9.7)."""
        known = self.admin.cap_ids() & frozenset(CapId)
        for cap in sorted(CapId(number) for number in known):
            data = self.admin.device_cap(cap)
            self.admin.set_driver_cap(cap, data)
            if cap is CapId.FF_RESOURCE_CAP:
                self._last_rule_priority = parse(FfResourceCap, data).last_rule_priority
            if cap in _LIMITS:
                structure, bounds = _LIMITS[cap]
                found = parse(structure, data)
                self.limits |= {kind: min(found[field] for field in names) for kind, names in bounds.items()}

    # Security associations

    def create_sa(self, params: SaParams, resource_id: int | None = None) -> int:
        """Create an SA object and give its resource_id; without one the next id that this driver has not used.

        Raises :class:`CannotExpress` or :class:`AdminError`.
        """
        kind = _SA_TYPE[params.direction]
        number = self._next_id(kind) if resource_id is None else resource_id
        self.admin.create(kind, number, sa_object(params, number, self.profile))
        self._take(kind, number)
        self.sas[kind].add(number)
        return number

    def modify_sa(self, params: SaParams, resource_id: int) -> None:
        """Change lifetimes, window, tunnel or options of a live SA (D19)."""
        self.admin.modify(_SA_TYPE[params.direction], resource_id, sa_object(params, resource_id, self.profile))

    def destroy_sa(self, direction: Direction, resource_id: int) -> None:
        self.admin.destroy(_SA_TYPE[direction], resource_id)
        self.sas[_SA_TYPE[direction]].discard(resource_id)

    def number_from(self, kind: ResourceType, number: int) -> None:
        """Give objects of ``kind`` ids from ``number`` on: the ids below are somebody else's."""
        self._ids[kind] = number

    # Flow filter

    def create_group(self, priority: int) -> int:
        number = self._create(ResourceType.FF_GROUP, flow_rules.group(priority))
        self._group_priorities.add(priority)
        return number

    def create_classifier(self, matches: tuple[flow_rules.Match, ...]) -> int:
        return self._create(ResourceType.FF_CLASSIFIER, flow_rules.classifier(matches))

    def create_rule(
        self,
        group_id: int,
        classifier_id: int,
        priority: int,
        action: int,
        matches: tuple[flow_rules.Match, ...],
        vq_index: int = 0,
    ) -> int:
        data = flow_rules.rule(group_id, classifier_id, priority, action, matches, vq_index)
        return self._create(ResourceType.FF_RULE, data)

    def steer_ipsec(self, udp_ports: tuple[int, ...] = (4500,), *, recirculate: bool = False) -> None:
        """Send ESP, AH and UDP-encapsulated ESP through IPsec processing: a group, its rules in order.

        ``udp_ports`` are destination ports; ``recirculate`` takes the packets
        through the flow filter a second time.  Rules of one group get different
        priorities (5.1.9.6, driver requirements), which have to be below
        last_rule_priority (D22); what that leaves over goes into further groups.
        Called again, it makes further groups, which are tried before the earlier ones.
        """
        self._steer(flow_rules.ipsec_matches(udp_ports), recirculate)
        self.udp_ports.update(udp_ports)

    def steer_udp(self, *udp_ports: int, recirculate: bool = False) -> None:
        """Send UDP to further destination ports through IPsec processing, as :meth:`steer_ipsec` does."""
        found = flow_rules.ipsec_matches(udp_ports)
        self._steer([matches for matches in found if matches[-1].type is SelectorType.UDP], recirculate)
        self.udp_ports.update(udp_ports)

    def _steer(self, found: list[tuple[flow_rules.Match, ...]], recirculate: bool) -> None:
        action = Action.IPSEC_RECIRCULATE if recirculate else Action.IPSEC
        classifiers: dict[tuple[tuple[int, bytes], ...], int] = {}
        most = max(self._last_rule_priority, 1)
        groups = [found[start : start + most] for start in range(0, len(found), most)]
        # No two groups have one priority (5.1.9.6): the lowest that are free, and so above those of an earlier call.
        free = list(islice((number for number in count(1) if number not in self._group_priorities), len(groups)))
        for group_priority, rules in zip(reversed(free), groups, strict=True):
            group_id = self.create_group(group_priority)
            for priority, matches in zip(range(len(rules) - 1, -1, -1), rules, strict=True):
                shape = tuple((match.type, match.mask) for match in matches)
                if shape not in classifiers:
                    classifiers[shape] = self.create_classifier(matches)
                self.create_rule(group_id, classifiers[shape], priority, action, matches)

    # Packets

    def send(
        self,
        frame: bytes,
        sa: int | None = None,
        csum: tuple[int, int] | None = None,
        gso: int | None = None,
        queue: int = 0,
    ) -> tuple[bytes, ...]:
        """Transmit an Ethernet frame; gives the frames that the device put on the wire.

        ``sa`` is the resource_id of an outbound SA: SECURITY is set.  ``csum`` is
        (csum_start, csum_offset): NEEDS_CSUM is set (5.1.9.2).  ``gso`` is an MSS
        in octets: the TCP or UDP packet is handed over to be segmented, and
        ``csum`` is not looked at.  ``queue`` is a transmit queue, transmitq1 is 0.
        Raises :class:`CannotSegment` for another packet, or when its feature was
        not negotiated.
        """
        if gso is None:
            return self.port.transmit(self.header(sa, csum) + frame, queue)
        frame, fields = to_segment(frame, gso, self.negotiated)
        return self.port.transmit(self._header(sa, fields) + frame, queue)

    def header(self, sa: int | None = None, csum: tuple[int, int] | None = None) -> bytes:
        """The virtio_net_hdr that :meth:`send` puts in front of a frame that is not to be segmented."""
        if sa is None and csum is None:
            return self._plain_header
        return self._header(sa, {} if csum is None else {"csum_start": csum[0], "csum_offset": csum[1]})

    def _header(self, sa: int | None, fields: dict[str, int]) -> bytes:
        """A header with ``fields``, all of which are for packets with NEEDS_CSUM."""
        flags = int(self.layout.flags.NEEDS_CSUM) if fields else 0
        if sa is not None:
            flags |= self.layout.security
            fields = fields | {"resource_id": sa, "resource_type": ResourceType.IPSEC_OUTB_SA}
        return self.layout.build(NetHdr(flags=flags, **fields))

    def receive(self, frame: bytes) -> RxPacket | None:
        """Let ``frame`` arrive at the device; gives what the driver finds in its receive queue, if anything."""
        got = self.port.receive(frame)
        return None if got is None else RxPacket(self.layout, got.queue, got.buffers)

    def _create(self, kind: ResourceType, data: bytes) -> int:
        number = self._next_id(kind)
        self.admin.create(kind, number, data)
        self._take(kind, number)
        return number

    def _next_id(self, kind: ResourceType) -> int:
        # 0 is a valid id, and what resource_id reads when there is none: it comes last, and then one that is refused.
        number, limit = self._ids.get(kind, 1), self.limits.get(kind)
        if not limit or number < limit:
            return number
        return 0 if number == limit else number - 1

    def _take(self, kind: ResourceType, number: int) -> None:
        following = self._ids.get(kind, 1)
        self._ids[kind] = following + 1 if number == self._next_id(kind) else max(following, number + 1)
