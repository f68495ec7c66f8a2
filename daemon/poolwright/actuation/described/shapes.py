"""The shape of a file that describes an API, as pydantic models: for the check and the JSON Schema.

A field's docstring is what an editor shows. What one part says of another is checked by
`mistakes`. No secret stands in such a file, only where to find it.
"""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from poolwright.actuation.described import pointers
from poolwright.actuation.target import TargetError, Text
from poolwright.redaction import never_show

Pointer = Annotated[
    str,
    Field(strict=True),
    AfterValidator(pointers.checked),
    WithJsonSchema(
        {"type": "string", "title": "JSON pointer", "pattern": "^(/.*)?$", "examples": ["/count"]}
    ),
]
HeaderName = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Signed = Literal[
    "method", "host", "path", "query", "target", "timestamp", "key_id", "key", "body",
    "body_sha256",
]  # fmt: skip
"""`target` is path and query, `key` the decision's, `body_sha256` in hex."""
Kind = Literal[
    "no_capacity", "gone", "conflict", "throttled", "unauthorised", "invalid", "unreachable"
]


class Empty:
    """Stands for a key without a value: it is a mistake and not a wish for the default."""


class Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_no_default(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: Empty() if part is None else part for key, part in value.items()}


class Secret(Part):
    """Where a secret is found: exactly one of `env` and `file`."""

    env: Text | None = None
    """An environment variable of the daemon."""
    file: Text | None = None
    """A file, read anew for each call: its content may change at any time."""

    @model_validator(mode="before")
    @classmethod
    def _is_not_the_secret(cls, value: Any) -> Any:
        if isinstance(value, (str, int, float)):
            never_show(str(value))
            hint = "write {env: NAME} or {file: PATH}; change the secret if others saw the file"
            raise TargetError("a secret must not stand in a file", hint)
        return value

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            hint = "write {env: NAME} or {file: PATH}"
            raise TargetError("a secret is found in exactly one place", hint)
        return self


class Bearer(Secret):
    """A token in a header."""

    header: HeaderName = "Authorization"
    scheme: Annotated[str, Field(strict=True)] = "Bearer"
    """What stands before the token; '' is nothing."""


class Basic(Part):
    """User and password (RFC 7617)."""

    username: Text
    password: Secret


class Hmac(Part):
    """A signature over parts of each request."""

    key: Secret
    key_is: Literal["text", "base64", "hex"] = "text"
    """How the key's bytes are written."""
    key_id: Secret | None = None
    """What the API knows the key by."""
    algorithm: Literal["sha256", "sha384", "sha512"] = "sha256"
    signs: Annotated[list[Signed], Field(min_length=1)]
    """The parts that are signed, in this order."""
    join: Annotated[str, Field(strict=True)] = "\n"
    """What stands between them."""
    signature_is: Literal["hex", "base64"] = "hex"
    timestamp: Literal["unix", "unix_ms", "iso8601"] = "unix"
    headers: dict[str, Text]
    """Headers to send; `{signature}`, `{timestamp}`, `{key_id}` and `{body_sha256}` are filled."""

    @field_validator("headers")
    @classmethod
    def _carry_the_signature(cls, headers: dict[str, str]) -> dict[str, str]:
        if not any("{signature}" in value for value in headers.values()):
            hint = "add one: X-Signature: '{signature}'"
            raise TargetError("no header carries the signature", hint)
        return headers


class Auth(Part):
    """How requests prove whose they are: exactly one."""

    bearer: Bearer | None = None
    basic: Basic | None = None
    hmac: Hmac | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(way is not None for way in (self.bearer, self.basic, self.hmac)) != 1:
            raise TargetError("`auth` says not exactly one way", "write one of bearer, basic, hmac")
        return self


class File(Part):
    file: Text


class Tls(Part):
    """Certificates; files that change are used from the next call on."""

    ca: File | None = None
    """PEM: trusted instead of the system's authorities."""
    cert: File | None = None
    """PEM: the client's certificate, for mutual TLS; it may hold the key, too."""
    key: File | None = None
    """PEM: the key of `cert`, without a passphrase."""

    @model_validator(mode="after")
    def _key_has_its_certificate(self) -> Self:
        if self.key is not None and self.cert is None:
            raise TargetError("a key without its certificate", "add cert: {file: PATH}")
        return self


class Parameter(Part):
    """What each pool says for itself beside `ref`."""

    about: str = ""
    """What it is, for those who write pools."""
    default: Text | None = None
    """Without it, each pool must say it."""


class Replicas(Part):
    """Replicas told one by one."""

    list_: Pointer = Field(alias="list")
    """From the answer to the list of them."""
    state: Pointer
    """From one of them to its state."""
    ready: list[Text]
    """States that serve."""
    starting: list[Text] = []
    """States on the way."""
    terminating: list[Text] = []
    """States that still run or are paid for, but leave."""
    ignored: list[Text] = []
    """States that do not count; any other is an error, for nothing is guessed."""


class Address(Part):
    """A request's address below `base_url`."""

    url: Annotated[str, Field(strict=True)]
    """Path and query, with `{parameters}`."""
    headers: dict[str, Text] = {}

    @field_validator("url")
    @classmethod
    def _is_below_the_base(cls, url: str) -> str:
        if not url.startswith("/") or url.startswith("//") or "#" in url:
            raise TargetError(f"`{url}` is no path", "begin with one slash; the host is base_url's")
        return url


class Read(Address):
    """How the counts are read, and where they stand in the answer."""

    method: Literal["GET", "POST"] = "GET"
    body: dict[str, Any] | None = None
    """JSON, with `{parameters}`."""
    desired: Pointer
    """The count that the target was last told."""
    ready: Pointer | None = None
    """Those that serve."""
    starting: Pointer | None = None
    """Those on the way; without it, what `ready` lacks of `desired`."""
    terminating: Pointer | None = None
    """Those that still run or are paid for, but leave; without it, none is known of."""
    replicas: Replicas | None = None
    """Instead of `ready`, `starting` and `terminating`."""
    short: Pointer | None = None
    """The API's words why ordered replicas do not come; nothing there, or '', is that they do."""

    @model_validator(mode="after")
    def _counts_in_one_way(self) -> Self:
        if (self.ready is None) == (self.replicas is None):
            hint = "write ready, or replicas"
            raise TargetError("`read` says not in exactly one way what is ready", hint)
        if self.replicas is not None and (
            self.starting is not None or self.terminating is not None
        ):
            hint = "name their states in replicas"
            raise TargetError("`starting` and `terminating` beside `replicas`", hint)
        return self


class Set(Address):
    """How an absolute count is ordered."""

    method: Literal["PUT", "POST", "PATCH"] = "PUT"
    body: dict[str, Any] | None = None
    """JSON, with `{count}`, `{key}` (the decision's) and `{parameters}`, as in `url`."""
    idempotency_header: HeaderName | None = None
    """Carries the decision's key: the API obeys a repeat of it once."""
    precondition_header: HeaderName | None = None
    """Such as If-Match: carries the ETag that `read` got last, if it got one."""
    drain: Text | None = None
    """Key in the body for the names of those that go first; sent only with names."""
    granted: Pointer | None = None
    """In the answer: how many were granted; fewer than ordered is `no_capacity`."""


class Refusal(Part):
    """What an answer means; the first that fits. Others mean what HTTP says."""

    status: Annotated[list[Annotated[int, Field(ge=100, le=599, strict=True)]], Field(min_length=1)]
    """HTTP statuses; also of successes."""
    at: Pointer | None = None
    """With `is`: where in the answer a value stands."""
    is_: Any = Field(
        default=None,
        alias="is",
        json_schema_extra={"type": ["string", "integer", "boolean"]},
    )
    """With `at`: the value."""
    contains: Text | None = None
    """A text that the answer has somewhere, if it is no JSON."""
    means: Kind
    granted: Pointer | None = None
    """With `no_capacity`: how many the target has got instead."""
    retry_after: Pointer | None = None
    """With `throttled`: the seconds to wait, where no Retry-After header says so."""

    @model_validator(mode="after")
    def _has_place_and_value(self) -> Self:
        if (self.at is None) != (self.is_ is None):
            raise TargetError("`at` and `is` belong together", "write both, or neither")
        return self


class Api(Part, title="Poolwright described API"):
    """A REST API by which replicas are counted and ordered."""

    api_version: Literal["poolwright/v1"] = Field(alias="apiVersion")
    kind: Literal["Api"]
    base_url: Annotated[str, Field(strict=True)]
    """Scheme, host and what all addresses begin with; may have `{parameters}`."""
    parameters: dict[str, Parameter] = {}
    """What each pool says for itself, by name."""
    auth: Auth | None = None
    tls: Tls | None = None
    read: Read
    set_: Set = Field(alias="set")
    reason: Pointer | None = None
    """In answers that are errors: the API's own words."""
    errors: list[Refusal] = []

    @field_validator("base_url")
    @classmethod
    def _is_a_base(cls, url: str) -> str:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            never_show(parts.netloc.rpartition("@")[0])
            raise TargetError("credentials in `base_url`", "write them under auth: basic")
        whole = parts.scheme in {"http", "https"} and parts.netloc and _port_is_one(parts.netloc)
        if not whole or parts.query or parts.fragment:
            hint = "write https://HOST, or https://HOST/PATH"
            raise TargetError(f"`{url}` is no base of addresses", hint)
        return url.rstrip("/")


def _port_is_one(host: str) -> bool:
    port = host.rpartition("]")[2].partition(":")[2]
    return not port or "{" in port or (port.isdecimal() and int(port) < 65536)
