import pytest

from fairlead.adapters.marks import (
    ATTACHMENT_KEY,
    alias,
    attachment_of_device,
    attachment_of_interface,
    host_device,
)

ID = "0123456789abcdef" * 4


def test_a_device_is_known_by_its_name_and_its_alias() -> None:
    assert attachment_of_device(host_device(ID), alias(ID)) == ID
    assert alias(ID) == f"fairlead:{ID}"


def test_an_interface_is_known_by_its_name_and_its_external_id() -> None:
    assert attachment_of_interface(host_device(ID), {ATTACHMENT_KEY: ID}) == ID


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        (host_device(ID), ""),
        (host_device(ID), "fairlead:"),
        (host_device(ID), ID),
        (host_device(ID), "a word of the operator's"),
        (host_device(ID), alias("f" + ID[1:])),
        ("eth0", alias(ID)),
    ],
)
def test_a_device_of_which_either_is_wrong_is_not_fairleads(name: str, mark: str) -> None:
    assert attachment_of_device(name, mark) is None


@pytest.mark.parametrize(
    ("name", "external_ids"),
    [
        (host_device(ID), {}),
        (host_device(ID), {ATTACHMENT_KEY: ""}),
        (host_device(ID), {"iface-id": ID}),
        (host_device(ID), {ATTACHMENT_KEY: "f" + ID[1:]}),
        ("eth0", {ATTACHMENT_KEY: ID}),
    ],
)
def test_an_interface_of_which_either_is_wrong_is_not_fairleads(name: str, external_ids: dict[str, str]) -> None:
    assert attachment_of_interface(name, external_ids) is None


def test_a_name_fits_into_what_the_kernel_allows() -> None:
    assert len(host_device(ID).encode()) <= 15
