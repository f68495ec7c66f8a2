"""Settings of the daemon, from `POOLWRIGHT_*` variables (nested with `__`) and a .env file."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ACTION_DEADLINE_S: Final = 30.0
CONFIRM_TIMEOUT_S: Final = 900.0
"""Of an action, unless set otherwise; replays go by these."""
REPORT_INTERVAL_S: Final = 5.0
"""How often providers are asked for their counts, unless set otherwise; replays go by it."""


class KafkaSettings(BaseModel):
    bootstrap: str = "localhost:9092"
    topics: list[str] = ["inference-telemetry"]
    group: str = "poolwright"
    decisions_topic: str | None = "poolwright-decisions"
    dead_letter_topic: str | None = "poolwright-dead-letters"
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    fetch_max_records: int = Field(default=2000, ge=1)
    fetch_max_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024)
    max_pending_samples: int = Field(default=200_000, ge=1000)
    """Consuming pauses while so many samples wait for the next tick: memory stays bounded."""
    commit_timeout_s: float = 5.0
    behind_after_s: float = 30.0
    """Telemetry whose newest sample is older than this while lag remains counts as behind."""


class TraceSettings(BaseModel):
    otlp_endpoint: str | None = Field(default=None, repr=False)
    protocol: Literal["grpc", "http/protobuf"] = "grpc"
    service_name: str = "poolwright"
    export_timeout_s: float = Field(default=10.0, gt=0)
    """One export with its retries, in real seconds; then its spans count as dropped."""


class JournalSettings(BaseModel):
    keep_days: float = Field(default=14.0, gt=0)
    """Decisions, actions and spans older than this are forgotten."""
    max_mb: int = Field(default=4096, ge=16)
    """The oldest are forgotten earlier where the journal would be larger than this."""


class HistorySettings(BaseModel):
    """Where the demand before the daemon's start is read from, besides the journal."""

    prometheus_url: str | None = Field(default=None, repr=False)
    """A URL may hold a password, and so is not shown; here and below."""
    requests_query: str = 'sum(rate(vllm:request_success_total{model_name="{service}"}[{window}]))'
    """PromQL: one series, requests a second. `{service}` and `{window}` are replaced."""
    input_tokens_query: str = (
        'sum(rate(vllm:prompt_tokens_total{model_name="{service}"}[{window}]))'
    )
    """One series, prompt tokens a second; only backtests ask."""
    output_tokens_query: str = (
        'sum(rate(vllm:generation_tokens_total{model_name="{service}"}[{window}]))'
    )
    """Likewise of answers."""
    days: float = Field(default=14.0, gt=0, le=14)
    """How far back; more than a fortnight is not kept."""
    timeout_s: float = Field(default=10.0, gt=0)
    """Of one query, in real seconds."""


class ClockSettings(BaseModel):
    speed: float = 1.0
    origin_wall_s: float = 0.0
    origin_event_s: float = 0.0


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="POOLWRIGHT_", env_nested_delimiter="__", env_file=".env", extra="ignore"
    )

    rules: Path = Path("rules")
    apis: Path | None = None
    """Folder of the files that describe APIs; without it, `apis` inside the folder of `rules`."""
    data: Path = Path("var")
    """Folder of the journal and the checkpoint."""
    kafka: KafkaSettings = KafkaSettings()
    tracing: TraceSettings = TraceSettings()
    journal: JournalSettings = JournalSettings()
    history: HistorySettings = HistorySettings()
    clock: ClockSettings = ClockSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    http_host: str = "127.0.0.1"
    http_port: int = 9464
    simulated_url: str = Field(default="http://127.0.0.1:9465", repr=False)
    tick_interval_s: float = Field(default=1.0, gt=0)
    report_interval_s: float = Field(default=REPORT_INTERVAL_S, gt=0, le=60)
    """How often each pool's provider is asked for its counts; longer where an API counts calls."""
    checkpoint_interval_s: float = Field(default=5.0, gt=0)
    action_deadline_s: float = Field(default=ACTION_DEADLINE_S, gt=0)
    confirm_timeout_s: float = Field(default=CONFIRM_TIMEOUT_S, gt=0)

    @property
    def apis_folder(self) -> Path:
        beside = self.rules if self.rules.is_dir() else self.rules.parent
        return beside / "apis" if self.apis is None else self.apis
