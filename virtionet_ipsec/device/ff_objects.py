"""The flow filter's resource objects: groups, classifiers, rules (virtio 1.4, 5.1.9.6 Flow filter)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..wire.codec import build, parse
from ..wire.enums import SELECTOR_LENGTH, Action, ResourceType, SelectorType
from ..wire.flow_filter import FfClassifier, FfGroup, FfRule
from .capabilities import Capabilities
from .ethernet import ETHERTYPE
from .ff_capabilities import check_selector
from .flow_filter import Classifier, FlowTable, Rule
from .header_fields import ETHERTYPE_OCTETS, NEXT_PROTOCOL
from .limits import FfResourceLimits
from .refusal import invalid_field
from .resources import ObjectTable, exactly

# The types that the first, second and third selector can have.
_LAYERS = (
    (SelectorType.ETH,),
    (SelectorType.IPV4, SelectorType.IPV6),
    (SelectorType.TCP, SelectorType.UDP, SelectorType.ESP),
)

_ETHERTYPES = {SelectorType.IPV4: ETHERTYPE[4], SelectorType.IPV6: ETHERTYPE[6]}
_PROTOCOLS = {SelectorType.TCP: 6, SelectorType.UDP: 17, SelectorType.ESP: 50}


class _FlowFilterObjects(ObjectTable):
    """What the three types share: the capabilities that the driver set, and the flow table they end up in."""

    def __init__(self, capabilities: Capabilities, flows: FlowTable) -> None:
        self._capabilities = capabilities
        self._flows = flows

    def disabled(self) -> str:
        return self._capabilities.flow_filter_disabled()

    def modify(self, resource_id: int, data: bytes) -> bytes:
        return self.create(resource_id, data)  # the object of this id gives way to the new one

    def reset(self) -> None:
        self._flows.clear()

    @property
    def _limits(self) -> FfResourceLimits:
        return self._capabilities.ff_resource.driver


class GroupObjects(_FlowFilterObjects):
    """FF_GROUP: a priority that no other group has."""

    type = ResourceType.FF_GROUP

    def room(self) -> int:
        # Both limits, as the device requirements say, though the second counts rules.
        return min(self._limits.groups_limit, self._limits.rules_per_group_limit)

    def id_limit(self) -> int:
        return self._limits.groups_limit

    def create(self, resource_id: int, data: bytes) -> bytes:
        priority = parse(FfGroup, data).group_priority
        holder = self._flows.group_of_priority.get(priority, resource_id)
        if holder != resource_id:
            raise invalid_field(f"group_priority {priority} is that of FF_GROUP {holder} already")
        self._flows.put_group(resource_id, priority)
        return exactly(data, FfGroup.sizeof())

    def dependents(self, resource_id: int) -> int:
        return self._flows.rules_of_group[resource_id]

    def destroy(self, resource_id: int) -> None:
        self._flows.remove_group(resource_id)


class ClassifierObjects(_FlowFilterObjects):
    """FF_CLASSIFIER: one to three selectors, from the outermost header inwards."""

    type = ResourceType.FF_CLASSIFIER

    def room(self) -> int:
        return self._limits.classifiers_limit

    def id_limit(self) -> int:
        return self._limits.classifiers_limit

    def create(self, resource_id: int, data: bytes) -> bytes:
        fields = parse(FfClassifier, data)
        self._flows.classifiers[resource_id] = self._check(fields.selectors)
        return build(FfClassifier, **fields)

    def _check(self, selectors: list[Any]) -> Classifier:
        most = min(self._limits.selectors_per_classifier_limit, len(_LAYERS))
        if not 1 <= len(selectors) <= most:
            raise invalid_field(f"count {len(selectors)}: a classifier has 1 to {most} selectors")
        types: list[SelectorType] = []
        masks: list[bytes] = []
        for place, (selector, layer) in enumerate(zip(selectors, _LAYERS, strict=False)):
            if selector.type not in layer:
                names = " or ".join(each.name for each in layer)
                raise invalid_field(f"selectors[{place}]: type {selector.type} is not {names}")
            checked = check_selector(selector, self._capabilities.ff_selector.driver, "the driver's FF_SELECTOR_CAP")
            types.append(checked.type)
            masks.append(checked.mask)
        if len(types) > 1 and masks[0][ETHERTYPE_OCTETS] != b"\xff\xff":
            raise invalid_field("selectors[0]: with a second selector, the mask has to cover EtherType")
        if len(types) > 2 and masks[1][NEXT_PROTOCOL[types[1]]] != 0xFF:
            raise invalid_field("selectors[1]: with a third selector, the mask has to cover Protocol or Next Header")
        return Classifier(tuple(types), b"".join(masks))

    def dependents(self, resource_id: int) -> int:
        return self._flows.rules_of_classifier[resource_id]

    def destroy(self, resource_id: int) -> None:
        del self._flows.classifiers[resource_id]


class RuleObjects(_FlowFilterObjects):
    """FF_RULE: a key for a classifier, a place in a group, an action.

    ``queues()`` is how many receive queues there are: receiveqN is virtqueue
    2(N-1) (virtio 1.4, 5.1.2 Virtqueues; D69).
    """

    type = ResourceType.FF_RULE

    def __init__(self, capabilities: Capabilities, flows: FlowTable, queues: Callable[[], int]) -> None:
        super().__init__(capabilities, flows)
        self._queues = queues

    def room(self) -> int:
        return self.id_limit()

    def id_limit(self) -> int:
        # "whichever is lower", of all rules and not of one group's, so no group can have too many either.
        return min(self._limits.rules_limit, self._limits.rules_per_group_limit)

    def create(self, resource_id: int, data: bytes) -> bytes:
        fields = parse(FfRule, data)
        self._flows.put_rule(self._check(resource_id, fields))
        return build(FfRule, **fields)

    def destroy(self, resource_id: int) -> None:
        self._flows.remove_rule(resource_id)

    def _check(self, resource_id: int, fields: Any) -> Rule:
        group_priority = self._flows.groups.get(fields.group_id)
        if group_priority is None:
            raise invalid_field(f"group_id: FF_GROUP {fields.group_id} does not exist")
        classifier = self._flows.classifiers.get(fields.classifier_id)
        if classifier is None:
            raise invalid_field(f"classifier_id: FF_CLASSIFIER {fields.classifier_id} does not exist")
        last = self._limits.last_rule_priority
        if fields.rule_priority >= last:  # D22: equal fails too
            raise invalid_field(f"rule_priority {fields.rule_priority} is not below last_rule_priority {last}")
        self._check_key(classifier, fields.key_length, fields["keys"])
        return Rule(
            resource_id=resource_id,
            group_id=fields.group_id,
            group_priority=group_priority,
            rule_priority=fields.rule_priority,
            classifier_id=fields.classifier_id,
            classifier=classifier,
            key=fields["keys"],
            action=self._check_action(fields.action, fields.vq_index),
            vq_index=fields.vq_index,
        )

    def _check_action(self, action: int, vq_index: int) -> Action:
        if action not in self._capabilities.ff_action.driver:
            raise invalid_field(f"action {action} is not in the driver's FF_ACTION_CAP")
        if action == Action.DIRECT_RX_VQ and (vq_index % 2 or vq_index >= 2 * self._queues()):
            last = 2 * self._queues() - 2
            raise invalid_field(f"vq_index {vq_index} is no receive queue: those are the even virtqueues, 0 to {last}")
        return Action(action)

    @staticmethod
    def _check_key(classifier: Classifier, key_length: int, key: bytes) -> None:
        types, length = classifier.types, len(classifier.mask)
        if key_length != length:
            raise invalid_field(f"key_length {key_length} is not the {length} octets of the classifier's masks")
        ethertype = key[ETHERTYPE_OCTETS]
        if len(types) > 1 and ethertype != _ETHERTYPES[types[1]]:
            raise invalid_field(f"keys: EtherType {ethertype.hex()} is not that of the selector {types[1].name}")
        if len(types) > 2:
            protocol = key[SELECTOR_LENGTH[types[0]] + NEXT_PROTOCOL[types[1]]]
            if protocol != _PROTOCOLS[types[2]]:
                raise invalid_field(f"keys: protocol {protocol} is not that of the selector {types[2].name}")
