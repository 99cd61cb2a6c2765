"""The pytest plugin, used as a project would use it: fixtures, markers, what a failing test says."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Inner = Callable[..., pytest.RunResult]

HEAD = """
    import pytest
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    FRAME = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / IP() / UDP() / b"hello"
"""


def test_readmes_ten_lines(inner: Inner) -> None:
    """The first block of Python in README, as it stands there."""
    readme = (ROOT / "README.md").read_text()
    (source, *_) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert "def test_" in source and len(source.split("def ")[1].splitlines()) <= 10
    inner(source).assert_outcomes(passed=1)


def test_readmes_failure(inner: Inner) -> None:
    """What README shows of a failing assertion is what is printed."""
    readme = (ROOT / "README.md").read_text()
    (source, *_) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (shown,) = re.findall(r"```\n(virtio_net_hdr flags\n.*?)   \.\.\.\n```", readme, re.DOTALL)
    result = inner(source.replace("    got = ", "    virtionet.receive(wire)\n    got = "))
    result.assert_outcomes(failed=1)
    printed = "\n".join(line.removeprefix("E").removeprefix("       AssertionError: ") for line in result.outlines)
    for line in shown.splitlines():
        assert line.strip() in printed, line


def test_every_block_of_python_in_readme(inner: Inner) -> None:
    """Each can be run as a test file; those with tests pass."""
    for source in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        result = inner("import pytest\n" + source)
        assert result.ret == 0, source


def test_fixtures(inner: Inner) -> None:
    inner(
        HEAD
        + """
    def test_one(virtionet, sa_pair):
        assert virtionet.device.status == 15 and virtionet.layout.size == 32
        assert virtionet.device.outbound.keys() == {sa_pair.outbound}
        assert virtionet.device.inbound.keys() == {sa_pair.inbound}
        assert sa_pair.outbound_params.spi == sa_pair.inbound_params.spi
        (wire,) = virtionet.send(FRAME, sa=sa_pair.outbound)
        got = virtionet.receive(wire)
        virtionet.assert_flags(got, "SECURITY", resource_id=sa_pair.inbound, resource_type=0x204)
        assert got.frame == bytes(FRAME)

    def test_each_test_has_its_own(virtionet, sa_pair):
        assert virtionet.device.outbound[sa_pair.outbound].state.seq == 0

    def test_plain(virtionet):
        assert virtionet.send(FRAME) == (bytes(FRAME),)
        virtionet.assert_flags(virtionet.receive(FRAME))

    def test_more_pairs(virtionet, sa_pair):
        other = virtionet.add_sa_pair(spi=0x2000, cipher="aes-cbc", auth="hmac-sha1")
        (wire,) = virtionet.send(FRAME, sa=other.outbound)
        virtionet.assert_flags(virtionet.receive(wire), "SECURITY", resource_id=other.inbound)
        assert other.inbound != sa_pair.inbound
    """
    ).assert_outcomes(passed=4)


def test_markers(inner: Inner) -> None:
    inner(
        HEAD
        + """
    from virtionet_ipsec.ipsec import Lifetime, Mode, Protocol, Reason

    @pytest.mark.virtionet(profile="rfc-v1", mtu=1280)
    def test_profile(virtionet, sa_pair):
        assert virtionet.layout.size == 18 and virtionet.device.mtu == 1280
        (wire,) = virtionet.send(FRAME, sa=sa_pair.outbound)
        virtionet.assert_flags(virtionet.receive(wire), "SECURITY", resource_id=sa_pair.inbound)
        virtionet.assert_flags(virtionet.receive(wire), "SECURITY", "SECURITY_ERR")
        with pytest.raises(ValueError, match="rfc-v1 has no flag SECURITY_SA_SOFT_EXPIRY_WARN; it has NEEDS_CSUM,"):
            virtionet.assert_flags(virtionet.receive(wire), "SECURITY_SA_SOFT_EXPIRY_WARN")

    @pytest.mark.sa_pair(cipher="aes-cbc", auth="hmac-sha256", cipher_key=bytes(32), auth_key=bytes(32), esn=True)
    def test_sa(virtionet, sa_pair):
        assert sa_pair.outbound_params.cipher == "aes-cbc" and sa_pair.outbound_params.aead is None
        assert sa_pair.inbound_params.esn and len(sa_pair.inbound_params.cipher_key) == 32
        (wire,) = virtionet.send(FRAME, sa=sa_pair.outbound)
        virtionet.assert_flags(virtionet.receive(wire), "SECURITY")

    @pytest.mark.sa_pair(protocol=Protocol.AH, mode=Mode.TRANSPORT, auth="hmac-sha1", auth_key=bytes(20))
    def test_ah(virtionet, sa_pair):
        (wire,) = virtionet.send(FRAME, sa=sa_pair.outbound)
        assert wire[23] == 51
        virtionet.assert_flags(virtionet.receive(wire), "SECURITY")

    @pytest.mark.sa_pair(lifetime=Lifetime(packets_soft=1, packets_hard=1), replay_window=0)
    def test_lifetime(virtionet, sa_pair):
        (wire,) = virtionet.send(FRAME, sa=sa_pair.outbound)
        virtionet.assert_flags(virtionet.receive(wire), "SECURITY", "SECURITY_SA_SOFT_EXPIRY_WARN")
        flags = "SECURITY", "SECURITY_ERR", "SECURITY_SA_SOFT_EXPIRY_WARN"
        virtionet.assert_flags(virtionet.receive(wire), *flags)
        assert virtionet.send(FRAME, sa=sa_pair.outbound) == ()
        assert virtionet.story[-1].startswith("dropped: hard_lifetime")
        virtionet.assert_dropped("hard_lifetime")
        virtionet.assert_dropped(Reason.HARD_LIFETIME)

    @pytest.mark.virtionet(queue_pairs=4)
    class TestClass:
        def test_on_a_class(self, virtionet):
            assert virtionet.device._objects is not None

    @pytest.mark.sa_pair(spi=7)
    @pytest.mark.parametrize("size", [0, 1000])
    def test_with_parametrize(virtionet, sa_pair, size):
        assert sa_pair.inbound_params.spi == 7
    """,
        "--strict-markers",
    ).assert_outcomes(passed=7)


def test_the_markers_are_documented(inner: Inner) -> None:
    result = inner("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.virtionet(*", "@pytest.mark.sa_pair(*"])
    result = inner("", "--fixtures")
    result.stdout.fnmatch_lines(["virtionet*", "sa_pair*"])


def test_a_wrong_marker_is_an_error_of_the_test(inner: Inner) -> None:
    result = inner(
        """
    import pytest

    @pytest.mark.virtionet(profile="virtio-2.0")
    def test_profile(virtionet): ...

    @pytest.mark.virtionet(colour="red")
    def test_device(virtionet): ...

    @pytest.mark.sa_pair(cipher_key=bytes(5))
    def test_key(virtionet, sa_pair): ...

    @pytest.mark.sa_pair(colour="red")
    def test_parameter(virtionet, sa_pair): ...

    @pytest.mark.sa_pair(auth="hmac-sha512", cipher="null")
    def test_what_no_object_can_carry(virtionet, sa_pair): ...
    """
    )
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines(["*virtio-2.0*", "*colour*", "*takes a key of 16 or 24 or 32 octets*", "*colour*"])
    result.stdout.fnmatch_lines(["*the SA object holds 32*"])


# -- what a failing assertion says ----------------------------------------------------------------------------------


def message(inner: Inner, body: str, head: str = "def test_it(virtionet, sa_pair):") -> str:
    """What pytest prints of the one failure."""
    source = HEAD + "\n    " + head + "\n" + "".join(f"        {line}\n" for line in body.strip().splitlines())
    result = inner(source)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "__tracebackhide__" not in text and "in assert_flags" not in text  # not the helper's inside
    return text


SEND = "(wire,) = virtionet.send(FRAME, sa=sa_pair.outbound)\n"


def test_other_flags(inner: Inner) -> None:
    text = message(inner, SEND + "virtionet.assert_flags(virtionet.receive(wire), 'SECURITY', 'SECURITY_ERR')")
    assert "virtio_net_hdr flags" in text
    assert "expected: SECURITY|SECURITY_ERR\n" in text and "got:      SECURITY\n" in text
    assert "the packet's story:" in text and "1. a frame of 102 octets arrives from the wire" in text
    assert "SA found: IPSEC_INB_SA 1, SPI 0x00001000" in text
    assert text.count("arrives from the wire") == 1  # the story once, though the plugin would tell it as well


@pytest.mark.parametrize(
    ("flags", "got", "expected", "shown"),
    [
        ("", "SECURITY", "none", "virtionet.receive(wire)"),
        ("'none'", "SECURITY", "none", "virtionet.receive(wire)"),
        ("'SECURITY'", "none", "SECURITY", "virtionet.receive(FRAME)"),
        ("HdrFlag.SECURITY | HdrFlag.SECURITY_ERR", "SECURITY", "SECURITY|SECURITY_ERR", "virtionet.receive(wire)"),
        ("HdrFlag.SECURITY", "SECURITY|SECURITY_ERR", "SECURITY", "virtionet.receive(wire[:-1] + b'x')"),
    ],
)
def test_flags_by_name(inner: Inner, flags: str, got: str, expected: str, shown: str) -> None:
    body = "from virtionet_ipsec.wire import HdrFlag\n" + SEND + f"virtionet.assert_flags({shown}, {flags})"
    text = message(inner, body)
    assert f"expected: {expected}\n" in text and f"got:      {got}\n" in text


def test_another_resource(inner: Inner) -> None:
    text = message(inner, SEND + "virtionet.assert_flags(virtionet.receive(wire), 'SECURITY', resource_id=77)")
    assert "virtio_net_hdr resource_id" in text and "expected: 77\n" in text and "got:      1\n" in text
    body = SEND + "virtionet.assert_flags(virtionet.receive(wire), 'SECURITY', resource_type=0x203)"
    text = message(inner, body)
    assert "resource_type" in text and "expected: IPSEC_OUTB_SA\n" in text and "got:      IPSEC_INB_SA\n" in text


def test_nothing_delivered(inner: Inner) -> None:
    text = message(inner, "virtionet.assert_flags(virtionet.receive(bytes(3)), 'SECURITY')")
    assert "expected: SECURITY\n" in text and "got:      nothing was delivered" in text
    assert "dropped: truncated: 3 octets hold no Ethernet header" in text


def test_a_flag_that_there_is_not(inner: Inner) -> None:
    text = message(inner, "virtionet.assert_flags(virtionet.receive(FRAME), 'SECURTY')")
    assert "ValueError: virtio-1.4 has no flag SECURTY; it has NEEDS_CSUM, DATA_VALID," in text


def test_dropped_for_another_reason(inner: Inner) -> None:
    text = message(inner, "virtionet.send(FRAME, sa=77)\nvirtionet.assert_dropped('too_big')")
    assert "expected: too_big\n" in text and "got:      unknown_sa\n" in text
    assert "dropped: unknown_sa: no outbound SA has resource_id 77" in text
    text = message(inner, SEND + "virtionet.assert_dropped('too_big')")
    assert "got:      not dropped\n" in text
    text = message(inner, SEND + "virtionet.assert_dropped('to_big')")
    assert "ValueError: reason 'to_big' is not one of: malformed," in text


def test_any_failing_test_has_the_story(inner: Inner) -> None:
    text = message(inner, "virtionet.send(FRAME, sa=9)\nassert 1 == 2")
    assert "virtionet: the last packet's story" in text
    assert "dropped: unknown_sa: no outbound SA has resource_id 9" in text
    assert "the last packet's story" not in message(inner, "assert 1 == 2")


def test_the_story_is_that_of_the_packet(inner: Inner) -> None:
    """A packet that was received earlier is told with its own way, not the last one's."""
    body = SEND + (
        "first = virtionet.receive(wire)\n"
        "virtionet.receive(wire)\n"
        "assert 'replayed' in ' '.join(virtionet.story)\n"
        "virtionet.assert_flags(first)"
    )
    text = message(inner, body)
    assert "sequence number 1 is new" in text


def test_no_key_in_a_failure(inner: Inner) -> None:
    head = "@pytest.mark.sa_pair(cipher_key=b'0123456789abcdef', salt=b'SALT')\n    def test_it(virtionet, sa_pair):"
    text = message(inner, SEND + "virtionet.assert_flags(virtionet.receive(wire + b''), 'SECURITY_ERR')", head)
    text = text.replace("cipher_key=b'0123456789abcdef', salt=b'SALT'", "")  # the test's own line
    assert "0123456789abcdef" not in text and "SALT" not in text and b"0123456789abcdef".hex() not in text


# -- how it is loaded -----------------------------------------------------------------------------------------------


def test_the_entry_point(tmp_path: Path, environment: dict[str, str]) -> None:
    """Installed, nothing has to be named: what the project file declares is what pytest finds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["entry-points"]["pytest11"]
    metadata = tmp_path / "site" / "virtionet_ipsec-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: virtionet-ipsec\nVersion: 0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in declared.items())
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    (tmp_path / "test_it.py").write_text("def test_it(virtionet, sa_pair): assert sa_pair.outbound == 1\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    variables = environment | {"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    assert "1 passed" in done.stdout, done.stdout


def test_it_costs_nothing_where_it_is_not_used(environment: dict[str, str]) -> None:
    script = "import sys, virtionet_ipsec.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True, text=True)
    assert not set(done.stdout.split()) & {"scapy", "construct", "cryptography", "virtionet_ipsec.testing"}
