"""Flow filter resource objects (virtio 1.4, 5.1.9.6.3 Resource objects)."""

from __future__ import annotations

from construct import Struct

from .fields import counted, counted_octets, le16, le32, length_of, octets, u8

FfSelector = Struct(
    "type" / u8,
    "flags" / u8,
    "reserved" / octets(2),
    "length" / length_of("mask"),
    "reserved1" / octets(3),
    "mask" / counted_octets("length"),
)
"""struct virtio_net_ff_selector (5.1.9.6.2.2): 8 octets, then the mask, laid over a packet header as on the wire."""

FfGroup = Struct(
    "group_priority" / le16,
)
"""struct virtio_net_resource_obj_ff_group; the group with the greatest priority is tried first."""

FfClassifier = Struct(
    "count" / length_of("selectors"),
    "reserved" / octets(7),
    "selectors" / counted("count", FfSelector),
)
"""struct virtio_net_resource_obj_ff_classifier: which parts of which headers the rules' keys are compared with."""

FfRule = Struct(
    "group_id" / le32,
    "classifier_id" / le32,
    "rule_priority" / u8,
    "key_length" / length_of("keys"),
    "action" / u8,
    "reserved" / u8,
    "vq_index" / le16,
    "reserved1" / octets(2),
    "keys" / counted_octets("key_length"),
)
"""struct virtio_net_resource_obj_ff_rule.

``keys`` holds a header for each selector of the classifier, one after the
other without gaps, and ``key_length`` is the length of them all, in octets.
"""
