"""Keystone's answers, and its silence, in the tree of errors."""

from collections.abc import Callable
from functools import partial

from keystoneauth1 import exceptions as ksa

from fairlead.adapters.neutron.credentials import CloudConfig
from fairlead.model.errors import AuthenticationFailed, CloudUnavailable, FairleadError, PermissionDenied, SettingsError


def translate(exc: Exception, config: CloudConfig) -> FairleadError:
    """Say what a keystoneauth1 exception means to the operator."""
    # A plugin that finds no version hides why: the connection's own error is what the operator needs.
    while isinstance(exc, ksa.DiscoveryFailure) and isinstance(exc.__context__, ksa.ClientException):
        exc = exc.__context__
    # Without a token nothing was asked of Neutron.
    kind: Callable[..., FairleadError] = partial(CloudUnavailable, reached=False)
    keystone, source = f"Keystone at {config.auth_url}", config.source
    remedy = "check that it runs, and the network and firewalls in between"
    match exc:
        case ksa.Unauthorized():
            kind, message = AuthenticationFailed, f"{keystone} does not accept {_who(config)}"
            remedy = f"check the names, the domains and the secret in {source}"
        case ksa.Forbidden():
            kind, message = PermissionDenied, f"{keystone} forbids {_who(config)}: {_text(exc)}"
            remedy = "check the user's roles in the project"
        case ksa.SSLError():
            message, remedy = f"the certificate of {keystone} is not trusted", f"set cacert in {source}"
        case ksa.ConnectTimeout():
            message = f"{keystone} does not answer in time"
        case ksa.ConnectFailure() | ksa.UnknownConnectionError():
            message = f"{keystone} can't be reached"
        case ksa.NotFound() | ksa.DiscoveryFailure():
            message = f"there is no Keystone v3 at {config.auth_url}"
            remedy = f"check auth_url in {source}: it often ends with /v3"
        case ksa.HttpError():
            message, remedy = f"{keystone} answers HTTP {exc.http_status}: {_text(exc)}", "see Keystone's log"
        case ksa.NoMatchingPlugin():
            kind, message = SettingsError, f"there is no authentication plugin {config.auth_type!r}"
            remedy = f"correct auth_type in {source}"
        case ksa.MissingRequiredOptions():
            missing = ", ".join(option.dest for option in exc.options)
            kind, message, remedy = SettingsError, f"{source} lacks {missing}", "add it"
        case ksa.AuthorizationFailure() | ksa.OptionError() | ksa.AuthPluginException():
            kind, message = SettingsError, f"{source} can't be used: {_text(exc)}"
            remedy = "compare it with your openrc file"
        case _:
            message, remedy = f"{keystone} gives no token: {_text(exc)}", "see Keystone's log"
    return kind(message, remedy=remedy)


def no_network_endpoint(config: CloudConfig) -> SettingsError:
    """Say that the catalogue has no Neutron for us."""
    region = f" in region {config.region!r}" if config.region else ""
    return SettingsError(
        f"the catalogue of {config.auth_url} has no {config.interface} endpoint of service type 'network'{region}",
        remedy="see `openstack catalog list`; set region_name, interface or network_endpoint_override",
    )


def no_project(config: CloudConfig) -> SettingsError:
    """Say that the token is good for no project."""
    return SettingsError(f"{config.source} names no project", remedy="add project_name and project_domain_name")


def unreadable(config: CloudConfig) -> CloudUnavailable:
    """Say that an answer was no token of Keystone's."""
    return CloudUnavailable(
        f"the answer from {config.auth_url} is not Keystone's",
        remedy="check the URL, and proxies in front of Keystone",
        reached=False,
    )


def unreadable_certificate(config: CloudConfig, exc: OSError) -> SettingsError:
    """Say that a file named for TLS can't be used."""
    files = ", ".join(name for name in (config.cacert, config.cert, config.key) if name)
    return SettingsError(
        f"the certificates of {config.source} ({files}) can't be used: {_text(exc)}",
        remedy="check cacert, cert and key",
    )


def _who(config: CloudConfig) -> str:
    auth = config.auth
    if credential := auth.get("application_credential_id") or auth.get("application_credential_name"):
        return f"the application credential {credential!r}"
    user = auth.get("username") or auth.get("user_name") or auth.get("user_id")
    project = auth.get("project_name") or auth.get("project_id") or auth.get("tenant_name") or auth.get("tenant_id")
    who = f"user {user!r}" if user else "these credentials"
    return f"{who} with project {project!r}" if project else who


def _text(exc: Exception) -> str:
    return " ".join(str(exc).split()).rstrip(".")
