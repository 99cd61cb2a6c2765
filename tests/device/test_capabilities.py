"""Device and driver capabilities (virtio 1.4, 2.12.1.2, 5.1.6, 5.1.9.6.2, 5.9.9.9)."""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.device import ALL_SA_MODES, Limits, SaModeCap, SelectorCap
from virtionet_ipsec.device.negotiation import default_features, feature_mask
from virtionet_ipsec.wire import CapId, Feature, IpsecMode, IpsecOption, Opcode, Profile, SelectorFlag, SelectorType

from .control import (
    CLASSIFIER,
    EBUSY,
    ENXIO,
    ESP_V4,
    GROUP,
    INB,
    INVALID_FIELD,
    INVALID_OPCODE,
    LENGTHS,
    OK,
    OUTB,
    RULE,
    Control,
    action_cap,
    array,
    ff_resource_cap,
    group,
    ipsec_resource_cap,
    octets,
    rule,
    sa,
    selector,
)

FF_CAPS = [CapId.FF_RESOURCE_CAP, CapId.FF_SELECTOR_CAP, CapId.FF_ACTION_CAP]
IPSEC_CAPS = [CapId.IPSEC_RESOURCE_CAP, CapId.IPSEC_SA_CAP]
NO_IPSEC = default_features(Profile.VIRTIO_1_4) & ~feature_mask(Feature.IPSEC)
SMALL = Limits(groups=10, classifiers=9, rules=8, rules_per_group=7, last_rule_priority=6, inb_sa=5, outb_sa=4)


# -- CAP_ID_LIST_QUERY -------------------------------------------------------------------------------------------


def test_the_list_has_a_bit_for_each_capability() -> None:
    control = Control().start()
    assert control.send(Opcode.CAP_ID_LIST_QUERY) == OK
    assert control.result == bytes(0x0800 // 8) + b"\x1f" + bytes(7)  # ids 0x0800 to 0x0804, whole u64
    assert len(control.result) == (0x0804 // 64 + 1) * 8


def test_without_the_feature_there_are_no_ipsec_capabilities() -> None:
    control = Control().start(NO_IPSEC)
    assert control.caps() == FF_CAPS
    for cap in IPSEC_CAPS:
        control.refused(control.send(Opcode.DEVICE_CAP_GET, struct.pack("<H", cap)), ENXIO, f"{cap:#06x}")
        assert control.set_cap(cap, ipsec_resource_cap(1, 1)) == ENXIO
    assert control.create(OUTB, 0, sa(OUTB)) == INVALID_OPCODE


# -- DEVICE_CAP_GET ----------------------------------------------------------------------------------------------


def test_ff_resource_cap() -> None:
    control = Control(limits=SMALL).start()
    assert control.get_cap(CapId.FF_RESOURCE_CAP) == ff_resource_cap(10, 9, 8, 7, 6, 3)


def test_ff_selector_cap() -> None:
    expected = array(*(selector(kind, b"\xff" * n, SelectorFlag.PARTIAL_MASK) for kind, n in LENGTHS.items()))
    assert Control().start().get_cap(CapId.FF_SELECTOR_CAP) == expected


def test_ff_action_cap() -> None:
    assert Control().start().get_cap(CapId.FF_ACTION_CAP) == action_cap(1, 2, 3, 4)


def test_ipsec_actions_need_the_feature() -> None:
    control = Control().start(NO_IPSEC)
    assert control.get_cap(CapId.FF_ACTION_CAP) == action_cap(1, 2)
    control.refused(control.set_cap(CapId.FF_ACTION_CAP, action_cap(1, 2, 3)), INVALID_FIELD, "action 3")


def test_ipsec_resource_cap_has_inbound_first() -> None:
    assert Control(limits=SMALL).start().get_cap(CapId.IPSEC_RESOURCE_CAP) == ipsec_resource_cap(5, 4)


CIPHERS = 1 << 0 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 8  # NULL, AES-CBC, AES-CTR, DES-CBC, 3DES-CBC
MACS = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 26 | 1 << 41 | 1 << 53  # no HMAC-SHA-224, -384, -512 (D09)
AEADS = 1 << 1 | 1 << 2 | 1 << 3


def test_ipsec_sa_cap() -> None:
    def mode(number: int, options: int, ciphers: int, aeads: int, cipher_key: int) -> bytes:
        return struct.pack("<B3xIIIQQIII", number, 4096, options, 0, ciphers, MACS, aeads, cipher_key, 32)

    assert Control().start().get_cap(CapId.IPSEC_SA_CAP) == array(
        mode(1, 0x7F, CIPHERS, AEADS, 32),
        mode(2, 0x43, CIPHERS, AEADS, 32),
        mode(3, 0x7D, 0, 0, 0),
        mode(4, 0x41, 0, 0, 0),
    )


def test_ipsec_sa_cap_in_the_rfc() -> None:
    result = Control(profile=Profile.RFC_V1).start().get_cap(CapId.IPSEC_SA_CAP)
    assert len(result) == 8 + 4 * 40
    assert result[8:48] == struct.pack("<B3xIIQQIII", 1, 4096, 0x1F, CIPHERS, MACS, AEADS, 32, 32)


@pytest.mark.parametrize("cap", [0, 1, 0x07FF, 0x0805, 0x0FFF, 0x1000, 0xFFFF])
def test_an_unknown_capability(cap: int) -> None:
    control = Control().start()
    control.refused(control.send(Opcode.DEVICE_CAP_GET, struct.pack("<H", cap)), ENXIO, f"{cap:#06x}")
    control.refused(control.set_cap(cap, bytes(100)), ENXIO, f"{cap:#06x}")


# -- DRIVER_CAP_SET ----------------------------------------------------------------------------------------------


def test_everything_the_device_has_can_be_set_and_again() -> None:
    control = Control().start()
    for _ in range(2):
        for cap in control.caps():
            assert control.set_cap(cap, control.get_cap(cap)) == OK
            assert control.result == b""


def test_less_than_the_device_has_can_be_set() -> None:
    control = Control(limits=SMALL).start()
    assert control.set_cap(CapId.FF_RESOURCE_CAP, ff_resource_cap(1, 1, 1, 1, 1, 1)) == OK
    assert control.set_cap(CapId.FF_ACTION_CAP, action_cap(1, 4)) == OK
    assert control.set_cap(CapId.FF_SELECTOR_CAP, array(selector(1, octets(14, _0=b"\xff" * 6)))) == OK
    assert control.set_cap(CapId.IPSEC_RESOURCE_CAP, ipsec_resource_cap(0, 4)) == OK
    assert control.set_cap(CapId.IPSEC_SA_CAP, array(mode_cap(2, window=1, options=1, macs=4))) == OK


FF_LIMITS = {"groups": 10, "classifiers": 9, "rules": 8, "per_group": 7, "last": 6, "selectors": 3}


@pytest.mark.parametrize("name", FF_LIMITS)
def test_no_limit_above_the_devices(name: str) -> None:
    control = Control(limits=SMALL).start()
    before = control.device.digest()
    above = ff_resource_cap(**{**FF_LIMITS, name: FF_LIMITS[name] + 1})
    control.refused(control.set_cap(CapId.FF_RESOURCE_CAP, above), INVALID_FIELD, "is more than the device's")
    assert control.device.digest() == before
    assert control.set_cap(CapId.FF_RESOURCE_CAP, ff_resource_cap(**FF_LIMITS)) == OK


@pytest.mark.parametrize(("inbound", "outbound"), [(6, 4), (5, 5), (0xFFFFFFFF, 0)])
def test_no_sa_limit_above_the_devices(inbound: int, outbound: int) -> None:
    control = Control(limits=SMALL).start()
    assert control.set_cap(CapId.IPSEC_RESOURCE_CAP, ipsec_resource_cap(inbound, outbound)) == INVALID_FIELD


def test_reserved_fields_are_ignored() -> None:
    control = Control(limits=SMALL).start()
    data = ff_resource_cap(1, 1, 1, 1, 1, 1)[:-2] + b"\xff\xff"
    assert control.send(Opcode.DRIVER_CAP_SET, struct.pack("<H6s", CapId.FF_RESOURCE_CAP, b"\xff" * 6) + data) == OK


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (action_cap(0), "action 0"),
        (action_cap(5), "action 5"),
        (action_cap(1, 1), "DROP"),
        (action_cap(2, 1), "DROP"),
        (action_cap(1, 2)[:9], "action 0"),  # the second entry is missing, and reads as zero
        (array(count=255), "action 0"),
    ],
)
def test_actions_that_cannot_be_set(actions: bytes, words: str) -> None:
    control = Control().start()
    before = control.device.digest()
    control.refused(control.set_cap(CapId.FF_ACTION_CAP, actions), INVALID_FIELD, words)
    assert control.device.digest() == before


ETHERTYPE_ONLY = SelectorCap(SelectorType.ETH, octets(14, _12=b"\xff\xff"), SelectorFlag(0))
PLAIN_V4 = SelectorCap(SelectorType.IPV4, bytes([0xFF]) * 20, SelectorFlag(0))
PARTIAL_V6 = SelectorCap(SelectorType.IPV6, bytes([0xFF]) * 40)
NARROW = Limits(selectors=(ETHERTYPE_ONLY, PLAIN_V4, PARTIAL_V6))


@pytest.mark.parametrize(
    ("selectors", "words"),
    [
        (array(selector(0, b"")), "selector type 0"),
        (array(selector(4, bytes(20))), "selector type 4"),
        (array(selector(1, bytes(13))), "length 13 is not the 14 octets"),
        (array(selector(1, bytes(15))), "length 15"),
        (array(selector(1, octets(14, _0=b"\xff" * 6))), "mask has bits"),
        (array(selector(2, bytes(20), flags=1)), "flags 0x01"),
        (array(selector(3, bytes(40), flags=2)), "flags 0x02"),
        (array(selector(2, octets(20, _12=b"\xff"))), "part of Source Address"),
        (array(selector(1, bytes(14)), selector(1, bytes(14))), "each once"),
        (array(selector(2, bytes(20)), selector(1, bytes(14))), "in order of type"),
        (array(selector(1, bytes(14)), count=2), "selector type 0"),
        (array(count=255), "selector type 0"),
    ],
)
def test_selectors_that_cannot_be_set(selectors: bytes, words: str) -> None:
    control = Control(limits=NARROW).start()
    before = control.device.digest()
    control.refused(control.set_cap(CapId.FF_SELECTOR_CAP, selectors), INVALID_FIELD, words)
    assert control.device.digest() == before


@pytest.mark.parametrize(
    "selectors",
    [
        array(selector(1, bytes(14)), selector(3, bytes(40))),
        array(selector(2, octets(20, _6=b"\xe0\x00"))),  # all of Flags, nothing of Fragment Offset
        array(selector(3, octets(40, _8=b"\x80"), flags=1)),
    ],
)
def test_selectors_that_can_be_set(selectors: bytes) -> None:
    assert Control(limits=NARROW).start().set_cap(CapId.FF_SELECTOR_CAP, selectors) == OK


def mode_cap(
    mode: int, window: int = 64, options: int = 0, ciphers: int = 0, macs: int = 0, aeads: int = 0, keys: int = 16
) -> bytes:
    return struct.pack("<B3xIIIQQIII", mode, window, options, 0, ciphers, macs, aeads, keys, keys)


ONE_MODE = Limits(
    sa_modes=(
        SaModeCap(
            IpsecMode.ESP_TRANSPORT,
            max_replay_win_sz=64,
            options=IpsecOption.ESN,
            cipher_algo=1 << 3,
            hmac_algo=1 << 4,
            aead_algo=1 << 1,
            max_cipher_key_len=16,
            max_auth_key_len=32,
        ),
    )
)


@pytest.mark.parametrize(
    ("modes", "words"),
    [
        (array(mode_cap(0)), "mode 0"),
        (array(mode_cap(1)), "mode 1"),
        (array(mode_cap(2), mode_cap(2)), "ESP_TRANSPORT comes twice"),
        (array(mode_cap(2, window=65)), "max_replay_win_sz 65"),
        (array(mode_cap(2, options=2)), "options has bits 0x2"),
        (array(mode_cap(2, options=1 << 31)), "options has bits 0x80000000"),
        (array(mode_cap(2, ciphers=1)), "cipher_algo has bits 0x1"),
        (array(mode_cap(2, macs=2)), "hmac_algo has bits 0x2"),
        (array(mode_cap(2, aeads=4)), "aead_algo has bits 0x4"),
        (array(mode_cap(2, keys=17)), "max_cipher_key_len 17"),
        (array(mode_cap(2), count=2), "mode 0"),
    ],
)
def test_sa_modes_that_cannot_be_set(modes: bytes, words: str) -> None:
    control = Control(limits=ONE_MODE).start()
    before = control.device.digest()
    control.refused(control.set_cap(CapId.IPSEC_SA_CAP, modes), INVALID_FIELD, words)
    assert control.device.digest() == before
    assert control.set_cap(CapId.IPSEC_SA_CAP, array(mode_cap(2, 64, 1, 8, 16, 2, 16))) == OK


def test_modes_need_no_order() -> None:
    assert Control().start().set_cap(CapId.IPSEC_SA_CAP, array(mode_cap(4, keys=0), mode_cap(1))) == OK


# -- disabled, and busy ------------------------------------------------------------------------------------------

DISABLING = {
    CapId.FF_RESOURCE_CAP: bytes(20),
    CapId.FF_SELECTOR_CAP: bytes(8),
    CapId.FF_ACTION_CAP: bytes(8),
    CapId.IPSEC_RESOURCE_CAP: bytes(8),
    CapId.IPSEC_SA_CAP: b"",
}

OBJECTS = {GROUP: group(1), CLASSIFIER: ESP_V4, RULE: rule(), OUTB: sa(OUTB), INB: sa(INB)}


def all_commands(control: Control, kind: int) -> set[tuple[int, int]]:
    data = OBJECTS[kind]  # type: ignore[index]
    return {
        control.create(kind, 0, data),
        control.modify(kind, 0, data),
        control.query(kind, 0),
        control.destroy(kind, 0),
    }


@pytest.mark.parametrize("cap", DISABLING)
def test_a_disabled_capability_disables_the_commands_for_its_types(cap: CapId) -> None:
    control = Control().start()
    assert control.set_cap(cap, DISABLING[cap]) == OK
    disabled = {GROUP, CLASSIFIER, RULE} if cap in FF_CAPS else {OUTB, INB}
    for kind in OBJECTS:
        if kind in disabled:
            assert all_commands(control, kind) == {INVALID_OPCODE}
            assert cap.name in control.device.last_refusal
        else:
            assert INVALID_OPCODE not in all_commands(control, kind)


@pytest.mark.parametrize("unset", FF_CAPS + IPSEC_CAPS)
def test_a_capability_is_disabled_until_it_is_set(unset: CapId) -> None:
    control = Control().start(enable=False)
    for cap in set(control.caps()) - {unset}:
        assert control.set_cap(cap, control.get_cap(cap)) == OK
    kind = GROUP if unset in FF_CAPS else OUTB
    assert all_commands(control, kind) == {INVALID_OPCODE}
    assert unset.name in control.device.last_refusal
    assert control.set_cap(unset, control.get_cap(unset)) == OK
    assert control.create(kind, 0, OBJECTS[kind]) == OK


@pytest.mark.parametrize("kind", [GROUP, CLASSIFIER, OUTB, INB])
def test_a_capability_is_not_set_while_objects_exist(kind: int) -> None:
    control = Control().start()
    assert control.create(kind, 3, OBJECTS[kind]) == OK  # type: ignore[index]
    related = FF_CAPS if kind in (GROUP, CLASSIFIER) else IPSEC_CAPS
    before = control.device.digest()
    for cap in control.caps():
        for data in (control.get_cap(cap), DISABLING[CapId(cap)]) if cap in related else ():
            control.refused(control.set_cap(cap, data), EBUSY, "exist")
    assert control.device.digest() == before
    for cap in set(control.caps()) - set(related):
        assert control.set_cap(cap, control.get_cap(cap)) == OK
    assert control.destroy(kind, 3) == OK
    for cap in related:
        assert control.set_cap(cap, DISABLING[cap]) == OK


def test_the_id_is_checked_before_busy_and_busy_before_the_contents() -> None:
    control = Control().start()
    assert control.create(GROUP, 0, group(1)) == OK
    assert control.set_cap(0x0900, b"\xff" * 20) == ENXIO
    assert control.set_cap(CapId.FF_RESOURCE_CAP, b"\xff" * 20) == EBUSY
    assert control.destroy(GROUP, 0) == OK
    assert control.set_cap(CapId.FF_RESOURCE_CAP, b"\xff" * 20) == INVALID_FIELD


# -- the parameters of the model ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"groups": -1}, "groups"),
        ({"rules": 1 << 32}, "rules"),
        ({"last_rule_priority": 256}, "last_rule_priority"),
        ({"selectors_per_classifier": 256}, "selectors_per_classifier"),
        ({"selectors": (PLAIN_V4, ETHERTYPE_ONLY)}, "order"),
        ({"selectors": (PLAIN_V4, PLAIN_V4)}, "order"),
        ({"sa_modes": (ALL_SA_MODES[0], ALL_SA_MODES[0])}, "twice"),
    ],
)
def test_limits_that_cannot_be(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Limits(**parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_replay_win_sz": 4097}, "max_replay_win_sz"),
        ({"max_cipher_key_len": 33}, "room in the SA object"),
        ({"max_auth_key_len": 64}, "room in the SA object"),
        ({"cipher_algo": 1 << 9}, "cipher_algo"),
        ({"hmac_algo": 1 << 3}, "hmac_algo"),
        ({"aead_algo": 1 << 4}, "aead_algo"),
    ],
)
def test_mode_capabilities_that_cannot_be(parameters: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SaModeCap(IpsecMode.ESP_TUNNEL, **parameters)  # type: ignore[arg-type]


def test_selector_capabilities_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="14 octets"):
        SelectorCap(SelectorType.ETH, bytes(13))
    with pytest.raises(ValueError, match="part of EtherType"):
        SelectorCap(SelectorType.ETH, octets(14, _13=b"\xff"), SelectorFlag(0))


def test_a_device_without_any_actions_or_modes() -> None:
    control = Control(limits=Limits(actions=frozenset(), sa_modes=())).start()
    assert control.get_cap(CapId.FF_ACTION_CAP) == bytes(8)
    assert control.get_cap(CapId.IPSEC_SA_CAP) == bytes(8)
    assert control.create(GROUP, 0, group(1)) == INVALID_OPCODE
