"""Devices that are wrong about the flow filter's capabilities and objects."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.ff_objects import ClassifierObjects, GroupObjects, RuleObjects
from virtionet_ipsec.device.flow_filter import Classifier, Rule
from virtionet_ipsec.device.refusal import CommandRefused, exists, invalid_field, invalid_opcode, no_such
from virtionet_ipsec.wire.enums import Action, CapId, Opcode, ResourceType

from ..flow_filters import with_handler, with_table
from ..mutant import breaks
from ..wrapping import altering_answers


@breaks("ff.dev.capabilities-listed")
class ListsNoActions(Device):
    """VIRTIO_NET_FF_ACTION_CAP is not listed, though the others are."""

    def __init__(self, *args: Any, **parameters: Any) -> None:
        super().__init__(*args, **parameters)
        capabilities: Any = self._capabilities
        right = capabilities.reported
        capabilities.reported = lambda: {number: cap for number, cap in right().items() if number != 0x802}


def _cannot_modify_rules(table: RuleObjects, resource_id: int, data: bytes) -> bytes:
    raise invalid_opcode("MODIFY of a rule")


@breaks("ff.dev.object-commands")
class CannotModifyRules(Device):
    """MODIFY of a rule is not supported."""

    __init__ = with_table(RuleObjects, modify=_cannot_modify_rules)


def _cannot_query_classifiers(data: bytes) -> None:
    if int.from_bytes(data[:2], "little") == ResourceType.FF_CLASSIFIER:
        raise no_such("classifiers cannot be read")


@breaks("ff.dev.object-commands")
class CannotQueryClassifiers(Device):
    """QUERY of a classifier says that there is none."""

    __init__ = with_handler(Opcode.RESOURCE_OBJ_QUERY, _cannot_query_classifiers)


@breaks("ff.dev.disabled-capability")
class IgnoresDisabledActions(Device):
    """Groups can be made while VIRTIO_NET_FF_ACTION_CAP is disabled."""

    __init__ = with_table(
        GroupObjects,
        disabled=lambda table: table._capabilities.ff_resource.disabled or table._capabilities.ff_selector.disabled,
    )


@breaks("ff.dev.disabled-capability")
class ZeroIsEnabled(Device):
    """A capability that the driver set to nothing counts as enabled."""

    def __init__(self, *args: Any, **parameters: Any) -> None:
        super().__init__(*args, **parameters)
        capabilities: Any = self._capabilities
        right, self.zeroed = capabilities.flow_filter_disabled, False
        capabilities.flow_filter_disabled = lambda: "" if self.zeroed else right()

    def _execute(self, readable: bytes) -> bytes:
        if int.from_bytes(readable[:2], "little") == Opcode.DRIVER_CAP_SET:
            self.zeroed = readable[24:26] == bytes((CapId.FF_ACTION_CAP & 0xFF, 8)) and not any(readable[32:])
        return super()._execute(readable)


def _shares_priorities_create(table: GroupObjects, resource_id: int, data: bytes) -> bytes:
    table._flows.group_of_priority.clear()
    return GroupObjects.create(table, resource_id, data)


def _shares_priorities_destroy(table: GroupObjects, resource_id: int) -> None:
    table._flows.groups.pop(resource_id)


@breaks("ff.dev.group-priority-taken")
class SharesPriorities(Device):
    """Two groups may have one priority."""

    __init__ = with_table(GroupObjects, create=_shares_priorities_create, destroy=_shares_priorities_destroy)


def _says_priority_exists(table: GroupObjects, resource_id: int, data: bytes) -> bytes:
    try:
        return GroupObjects.create(table, resource_id, data)
    except CommandRefused as refused:
        raise exists(refused.why) from None


@breaks("ff.dev.group-priority-taken")
class SaysPriorityExists(Device):
    """A group_priority that is taken gets EEXIST."""

    __init__ = with_table(GroupObjects, create=_says_priority_exists)


@breaks("ff.dev.group-limit")
class IgnoresRulesPerGroup(Device):
    """Groups are limited by groups_limit alone."""

    __init__ = with_table(GroupObjects, room=GroupObjects.id_limit)


@breaks("ff.dev.group-limit")
class OneGroupMore(Device):
    """There is room for one group more than groups_limit says."""

    __init__ = with_table(
        GroupObjects,
        room=lambda table: GroupObjects.room(table) + 1,
        id_limit=lambda table: GroupObjects.id_limit(table) + 1,
    )


@breaks("ff.dev.group-limit", "ff.dev.classifier-limit")
class FullIsInvalid(Device):
    """That there is no room for another object is said with EINVAL."""

    _execute = altering_answers(lambda status, qualifier: (22, 3) if status == 28 else (status, qualifier))


@breaks("ff.dev.classifier-limit")
class OneClassifierLess(Device):
    """There is room for one classifier less than classifiers_limit says."""

    __init__ = with_table(ClassifierObjects, room=lambda table: ClassifierObjects.room(table) - 1)


@breaks("ff.dev.classifier-limit")
class OneClassifierMore(Device):
    """There is room for one classifier more than classifiers_limit says."""

    __init__ = with_table(
        ClassifierObjects,
        room=lambda table: ClassifierObjects.room(table) + 1,
        id_limit=lambda table: ClassifierObjects.id_limit(table) + 1,
    )


@breaks("ff.dev.group-in-use")
class DestroysGroupsInUse(Device):
    """A group is destroyed though it has a rule left."""

    __init__ = with_table(
        GroupObjects, dependents=lambda table, number: max(GroupObjects.dependents(table, number) - 1, 0)
    )


@breaks("ff.dev.classifier-in-use")
class DestroysClassifiersInUse(Device):
    """A classifier is destroyed though it has a rule left."""

    __init__ = with_table(
        ClassifierObjects, dependents=lambda table, number: max(ClassifierObjects.dependents(table, number) - 1, 0)
    )


@breaks("ff.dev.group-in-use", "ff.dev.classifier-in-use")
class BusyIsInvalid(Device):
    """That an object is in use is said with EINVAL."""

    _execute = altering_answers(lambda status, qualifier: (22, 3) if status == 16 else (status, qualifier))


@breaks("ff.dev.rule-vq-index")
class TakesTransmitQueues(Device):
    """A rule may direct packets to transmitq1."""

    __init__ = with_table(
        RuleObjects,
        _check_action=lambda table, action, vq: RuleObjects._check_action(table, action, 0 if vq == 1 else vq),
    )


@breaks("ff.dev.rule-vq-index")
class TakesAnyEvenIndex(Device):
    """A rule may direct packets to any even virtqueue index."""

    __init__ = with_table(
        RuleObjects, _check_action=lambda table, action, vq: RuleObjects._check_action(table, action, vq & 1)
    )


def _takes_last_priority(table: RuleObjects, resource_id: int, fields: Any) -> Rule:
    fields.rule_priority -= fields.rule_priority == table._limits.last_rule_priority
    return RuleObjects._check(table, resource_id, fields)


@breaks("ff.dev.rule-priority-range")
class TakesLastPriority(Device):
    """A rule may have the priority last_rule_priority."""

    __init__ = with_table(RuleObjects, _check=_takes_last_priority)


@breaks("ff.dev.rule-id-limit")
class IgnoresRulesPerGroupForIds(Device):
    """Ids of rules are limited by rules_limit alone."""

    __init__ = with_table(RuleObjects, id_limit=lambda table: table._limits.rules_limit)


@breaks("ff.dev.rule-id-limit")
class IgnoresRulesLimitForIds(Device):
    """Ids of rules are limited by rules_per_group_limit alone."""

    __init__ = with_table(RuleObjects, id_limit=lambda table: table._limits.rules_per_group_limit)


def _takes_long_keys(classifier: Classifier, key_length: int, key: bytes) -> None:
    length = min(key_length, len(classifier.mask))
    RuleObjects._check_key(classifier, length, key[:length])


@breaks("ff.dev.rule-key-length")
class TakesLongKeys(Device):
    """Keys may be longer than the masks; what is too much is left out."""

    __init__ = with_table(RuleObjects, _check_key=staticmethod(_takes_long_keys))


def _takes_short_keys(classifier: Classifier, key_length: int, key: bytes) -> None:
    length = max(key_length, len(classifier.mask))
    RuleObjects._check_key(classifier, length, key.ljust(length, b"\0"))


@breaks("ff.dev.rule-key-length")
class TakesShortKeys(Device):
    """Keys may be shorter than the masks; what is missing is zero."""

    __init__ = with_table(RuleObjects, _check_key=staticmethod(_takes_short_keys))


@breaks("ff.dev.rule-action-unsupported")
class TakesUnknownActions(Device):
    """An action without a meaning counts as DROP."""

    __init__ = with_table(
        RuleObjects,
        _check_action=lambda table, action, vq: RuleObjects._check_action(
            table, action if action in set(Action) else Action.DROP, vq
        ),
    )


@breaks("ff.dev.rule-action-unsupported")
class TakesIpsecUnasked(Device):
    """The IPsec actions can be used though VIRTIO_NET_F_IPSEC was not negotiated."""

    __init__ = with_table(
        RuleObjects,
        _check_action=lambda table, action, vq: (
            Action(action) if action in (3, 4) else RuleObjects._check_action(table, action, vq)
        ),
    )


def _refuses_whole_partial_masks(table: ClassifierObjects, selectors: list[Any]) -> Classifier:
    if selectors[-1].flags and set(selectors[-1].mask) <= {0, 0xFF}:
        raise invalid_field("PARTIAL_MASK for whole fields")
    return ClassifierObjects._check(table, selectors)


@breaks("ff.dev.partial-mask-create")
class RefusesWholePartialMasks(Device):
    """A classifier with PARTIAL_MASK is refused when its masks take fields whole."""

    __init__ = with_table(ClassifierObjects, _check=_refuses_whole_partial_masks)


def _refuses_command_flags(data: bytes) -> None:
    if any(data[8:16]):
        raise invalid_field("flags are reserved")


@breaks("ff.dev.partial-mask-create")
class RefusesCommandFlags(Device):
    """CREATE is refused when a bit is set in the command's flags."""

    __init__ = with_handler(Opcode.RESOURCE_OBJ_CREATE, _refuses_command_flags)
