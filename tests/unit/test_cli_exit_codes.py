"""Exit codes as docs/operations.md has them, and what is said with them."""

from pathlib import Path

import pytest

from poolwright import cli

RULES = """\
apiVersion: poolwright/v1
service: chat
pools:
  - name: main
    provider: {provider}
    replicas: {{min: 1, max: 3}}
"""
CLUSTER = "{kubernetes: {kind: Deployment, namespace: a, name: b}}"


@pytest.fixture
def poolwright(tmp_path, monkeypatch, capsys):
    """Runs a command with variables of the environment; its code and what it wrote as errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, **variables: str) -> tuple[object, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["poolwright", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return run


def rules(folder: Path, provider: str) -> str:
    path = folder / "chat.yaml"
    path.write_text(RULES.format(provider=provider))
    return str(path)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"POOLWRIGHT_HTTP_PORT": "abc"}, "POOLWRIGHT_HTTP_PORT: input should be a valid integer"),
        (
            {"POOLWRIGHT_KAFKA__SECURITY": "TLS", "POOLWRIGHT_TICK_INTERVAL_S": "0"},
            "; POOLWRIGHT_TICK_INTERVAL_S: input should be greater than 0. Correct the environment",
        ),
        ({"POOLWRIGHT_KAFKA__TOPICS": "[1]"}, "POOLWRIGHT_KAFKA__TOPICS entry 1: input should be"),
        ({"POOLWRIGHT_KAFKA__TOPICS": "a,b"}, "POOLWRIGHT_KAFKA, or one that begins so, is a list"),
    ],
)
@pytest.mark.parametrize("command", ["run", "status"])
def test_a_wrong_setting_is_told_by_its_variable(poolwright, command, variables, said) -> None:
    code, told = poolwright(command, **variables)
    assert code == 2
    assert told.startswith("poolwright: POOLWRIGHT_")
    assert said in told
    assert "Traceback" not in told


def test_a_secret_is_not_told(poolwright) -> None:
    _, told = poolwright("run", POOLWRIGHT_KAFKA__SASL_PASSWORD="hush", POOLWRIGHT_HTTP_PORT="hush")
    assert "hush" not in told


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("{nowhere: {}}", "chat.yaml:5:16: unknown provider `nowhere` (known: "),
        ("{kubernetes: {kind: Deployment}}", "chat.yaml:5:28: `namespace` is missing"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_what_is_mended_in_a_rule_file_is_1_for_the_daemon_as_for_check(
    poolwright, tmp_path, command, provider, said
) -> None:
    path = rules(tmp_path, provider)
    words = [command, path] if command == "check" else [command]
    code, told = poolwright(*words, POOLWRIGHT_RULES=path)
    assert code == 1
    assert said in told
    assert not (tmp_path / "var").exists()


def test_what_is_mended_in_the_environment_is_2(poolwright, tmp_path) -> None:
    path = rules(tmp_path, CLUSTER)
    nowhere = str(tmp_path / "kubeconfig")
    code, told = poolwright("run", POOLWRIGHT_RULES=path, KUBECONFIG=nowhere)
    assert code == 2
    assert told.startswith("poolwright: pool 'main': no Kubernetes credentials")


def test_nobody_to_ask_is_3(poolwright) -> None:
    code, told = poolwright("status", POOLWRIGHT_HTTP_PORT="1")
    assert code == 3
    assert "is `poolwright run` up?" in told
