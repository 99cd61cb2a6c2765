"""What people import from the driver, and how they say which profile they want."""

from __future__ import annotations

import subprocess
import sys

import pytest

from virtionet_ipsec.driver import (
    AdminError,
    CannotExpress,
    Driver,
    DriverError,
    InProcess,
    NegotiationError,
    RxPacket,
    connect,
)
from virtionet_ipsec.wire.profile import Profile


def test_the_driver_in_one_import() -> None:
    assert issubclass(InProcess, Driver)
    assert all(issubclass(error, DriverError) for error in (AdminError, CannotExpress, NegotiationError))
    got = connect().receive(bytes(60))
    assert isinstance(got, RxPacket)


@pytest.mark.parametrize("first", ["driver", "driver.port", "driver.in_process", "device", "replay.story", "testing"])
def test_whatever_is_imported_first(first: str, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", f"import virtionet_ipsec.{first}"], env=environment, check=True)


def test_help_does_without_it(environment: dict[str, str]) -> None:
    code = (
        "import sys\nfrom virtionet_ipsec.cli import run\nrun(['--help'])\n"
        "heavy = {'construct', 'scapy', 'cryptography', 'virtionet_ipsec.driver'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_by_name(profile: Profile) -> None:
    driver = connect(profile=profile.value)
    assert driver.profile is profile and driver.layout.profile is profile


@pytest.mark.parametrize("wrong", ["rfc", "", 1, None, []])
def test_no_such_profile(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"is not one of: virtio-1\.4, rfc-v1"):
        connect(profile=wrong)
