"""What every HTTP connection of modelhub shares: identity, proxies, certificates, keys."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from modelhub import __version__
from modelhub.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    import httpx

    from modelhub.config import Config

USER_AGENT = f"modelhub/{__version__}"
"""Honest, and without the words by which Civitai takes a client for a browser and answers HTML."""

CIVITAI_HOSTS = frozenset(
    f"{prefix}{site}"
    for site in ("civitai.com", "civitai.red", "civitai.green")
    for prefix in ("", "www.", "api.")
)


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine by name or address, without asking a name server."""
    if not host:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port


def key_may_be_sent(url: str, civitai_url: str) -> bool:
    """Whether a request to `url` may carry the API key.

    Only Civitai's own hosts over https, or exactly the origin that `civitai.url` names, and that
    over https or on loopback.
    """
    scheme, host, port = _origin(url)
    if scheme == "https" and host in CIVITAI_HOSTS and port in (None, 443):
        return True
    secure = scheme == "https" or is_loopback(host)
    return secure and (scheme, host, port) == _origin(civitai_url)


def shown_url(url: str) -> str:
    """`url` as it may be shown: without user, password, query and fragment.

    Queries hold signatures (`X-Amz-Signature`) and keys (`token=`).
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


@functools.cache
def _trust(ca_file: str, *, http2: bool) -> ssl.SSLContext:
    """Whom to trust: read once, since that takes longer than a small download, and a mebibyte.

    :param http2: clients that speak it have one of their own: what is offered to a server is set in
        the context at each connection (httpcore, ``_sync/connection.py``).
    :raises ConfigError: the CA file cannot be read.
    """
    import ssl

    import httpx

    if not ca_file:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"network.ca_file: cannot read {ca_file}: {error}") from error


def http_client(
    config: Config, *, timeout: float, connections: int = 8, http2: bool = False
) -> httpx.Client:
    """A client with our identity, the configured proxy and certificates, and no redirects.

    :param timeout: seconds without an answer or a byte.
    :raises ConfigError: the CA file cannot be read, or the proxy is no URL.
    """
    import httpx

    verify = _trust(config.network.ca_file, http2=http2)
    try:
        return httpx.Client(
            headers={"User-Agent": USER_AGENT},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 15.0)),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            proxy=config.network.proxy or None,
            verify=verify,
            http2=http2,
            follow_redirects=False,
        )
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigError(f"network.proxy: {error}", hint="use http://host:port") from error
