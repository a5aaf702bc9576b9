"""Settings come from a file and the environment, and say what is wrong with them."""

from pathlib import Path

import pytest

from fairlead.agent.settings import Settings, load_settings
from fairlead.model.errors import SettingsError


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.agent.settings.DEFAULT_FILE", tmp_path / "none.toml")
    assert load_settings(None, {}) == Settings()
    assert Settings().agent.socket == "/run/docker/plugins/fairlead.sock"


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.toml"
    file.write_text('[agent]\nhost = "a"\nstate_dir = "/x"\n[ovs]\nwiring_timeout = 3\n')
    settings = load_settings(file, {"FAIRLEAD_AGENT_HOST": "b", "FAIRLEAD_OVS_WIRING_TIMEOUT": "2.5"})
    assert (settings.agent.host, settings.agent.state_dir, settings.ovs.wiring_timeout) == ("b", "/x", 2.5)


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text('[log]\nlevel = "debug"\n')
    assert load_settings(None, {"FAIRLEAD_CONFIG": str(tmp_path / "f.toml")}).log.level == "debug"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[agent\n", "can't read"),
        ('[agent]\nsokcet = "x"\n', "sokcet"),
        ("[ovs]\nwiring_timeout = 'soon'\n", "wiring_timeout"),
        ('[log]\nlevel = "loud"\n', "level"),
        ('agent = "x"\n', "agent"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "fairlead.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=named) as caught:
        load_settings(file, {"FAIRLEAD_AGENT_HOST": "b"} if "agent =" not in text else {})
    assert "fairlead.toml" in str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "none.toml", {})
