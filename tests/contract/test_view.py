"""Who we are and what we may do, on the fake and on a real cloud."""

import uuid
from dataclasses import replace

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import AuthenticationFailed
from fairlead.model.network import Network, NewNetwork
from tests.contract.conftest import Cloud, Operator


async def test_a_member_may_not_bind(cloud: Cloud, neutron: NeutronService, network: Network) -> None:
    view = await neutron.view()
    assert view.may_bind is False
    assert "member" in view.roles
    assert view.project_id == cloud.project_id
    assert view.user


async def test_the_role_service_may_bind(as_service: NeutronService, network: Network) -> None:
    view = await as_service.view()
    assert view.may_bind is True
    assert "service" in view.roles


async def test_an_administrator_may_bind(cloud: Cloud, operator: Operator) -> None:
    await operator.make("network", {"name": "contract-admin"})
    async with NeutronService(cloud.admin) as service:
        assert (await service.view()).may_bind is True


async def test_finding_out_makes_nothing(neutron: NeutronService, as_service: NeutronService, network: Network) -> None:
    for service in (neutron, as_service):
        await service.view()
        assert await service.find_ports(network_id=network.id) == []


async def test_the_answer_is_known_even_with_the_quota_of_ports_used_up(
    neutron: NeutronService, as_service: NeutronService, network: Network, operator: Operator
) -> None:
    await operator.limit(port=0)
    assert (await neutron.view()).may_bind is False
    assert (await as_service.view()).may_bind is True


async def test_the_extensions_that_fairlead_relies_on_are_there(neutron: NeutronService, network: Network) -> None:
    wanted = {"standard-attr-tag", "standard-attr-revisions", "revision-if-match", "security-group", "binding"}
    assert (await neutron.view()).extensions >= wanted


async def test_a_group_is_found_by_name_and_by_id(neutron: NeutronService) -> None:
    (by_name,) = await neutron.find_security_groups(["default"])
    assert by_name.name == "default"
    assert await neutron.find_security_groups([by_name.id]) == [by_name]
    assert await neutron.find_security_groups([by_name.id, "default"]) == [by_name]


async def test_groups_that_do_not_exist_are_left_out(neutron: NeutronService) -> None:
    assert await neutron.find_security_groups([f"no-{uuid.uuid4()}", str(uuid.uuid4())]) == []
    assert await neutron.find_security_groups([]) == []


async def test_the_projects_own_default_group_is_meant_whatever_the_role_sees(
    cloud: Cloud, neutron: NeutronService, as_service: NeutronService
) -> None:
    assert await as_service.find_security_groups(["default"]) == await neutron.find_security_groups(["default"])


async def test_a_wrong_secret_is_an_authentication_failure(cloud: Cloud) -> None:
    wrong = replace(cloud.service, auth={**cloud.service.auth, "password": "not this"})
    async with NeutronService(wrong) as service:
        with pytest.raises(AuthenticationFailed, match="does not accept"):
            await service.create_network(NewNetwork("never"))


async def test_an_unknown_project_is_an_authentication_failure_that_names_it(cloud: Cloud) -> None:
    auth = {key: value for key, value in cloud.service.auth.items() if not key.startswith("project")}
    lost = replace(cloud.service, auth={**auth, "project_name": "nowhere", "project_domain_id": "default"})
    async with NeutronService(lost) as service:
        with pytest.raises(AuthenticationFailed, match="nowhere"):
            await service.view()
