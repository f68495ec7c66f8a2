"""What every Kafka client of the daemon needs to connect, from the settings."""

from typing import Any

from aiokafka.helpers import create_ssl_context

from poolwright.errors import SettingsError
from poolwright.settings import KafkaSettings


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments of aiokafka's consumer and producer. Raises SettingsError."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security,
    }
    if settings.security in ("SSL", "SASL_SSL"):
        try:
            options["ssl_context"] = create_ssl_context(
                cafile=_text(settings.ca_file),
                certfile=_text(settings.cert_file),
                keyfile=_text(settings.key_file),
            )
        except OSError as error:
            msg = f"the TLS files of POOLWRIGHT_KAFKA__CA_FILE and others cannot be read: {error}"
            raise SettingsError(msg) from error
    if settings.security.startswith("SASL"):
        if settings.sasl_username is None or settings.sasl_password is None:
            msg = "POOLWRIGHT_KAFKA__SASL_USERNAME and __SASL_PASSWORD must be set for SASL"
            raise SettingsError(msg)
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def advice(settings: KafkaSettings) -> str:
    """What to check when no connection comes about; the broker itself does not say."""
    checks = [f"is {settings.bootstrap} reachable and a {settings.security} listener"]
    if settings.security.startswith("SASL"):
        checks.append(
            f"are the {settings.sasl_mechanism} name and password of {settings.sasl_username} right"
        )
    if settings.security.endswith("SSL"):
        checks.append("does the certificate match POOLWRIGHT_KAFKA__CA_FILE and the host name")
    return "; ".join(checks) + "?"
