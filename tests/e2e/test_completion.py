"""porteiroctl in bash: commands and their options, as --help tells them."""
import re
import subprocess
from pathlib import Path

import pytest

from fixtures import build

COMPLETION = Path(__file__).parents[2] / "gateway" / "porteiroctl.bash"
SCRIPT = """source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _porteiroctl; printf '%s\\n' "${COMPREPLY[@]}" """


def complete(*words):
    done = subprocess.run(["bash", "-c", SCRIPT, "bash", COMPLETION, build.PORTEIROCTL, *words],
                          capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    return done.stdout.split()


def test_every_command_of_the_help_is_offered():
    told = subprocess.run([build.PORTEIROCTL, "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  (\S+)", told, re.M)
    assert "status" in commands and complete("") == ["-s", "--json", *commands]


@pytest.mark.parametrize("words, offered", [
    (["--json", "un"], ["undrain", "unban"]),
    (["-s", "/run/x", "login"], ["login-test", "logins"]),
    (["ban", "192.0.2.7", "--"], ["--for", "--reason"]),
    (["-s", "/run/x", "drain", "-"], ["--wait"]),
    (["suspend", "ana@example.com", "--"], ["--scope", "--for", "--until-resumed", "--reason"]),
    (["suspend", "ana@example.com", "--scope", ""], ["sending", "all"]),
    (["bans", "-"], []),
    (["explain", "--account", "ana", "--p"], ["--protocol"]),
    (["suggest", "log", "--per", ""], ["hour", "day"]),
    (["replay", "log", "--"], ["--config", "--all"]),
    (["explain", "--account", "ana", "--protocol", ""], ["smtp", "pop3"]),
    (["top", "-"], ["--by", "--last"]),
    (["top", "--last", "1h", "--by", "s"], ["script", "sender_domain"]),
    (["top", "--last", "s"], []),
    (["show", "s"], []),
    (["limit", ""], ["set", "unset", "list"]),
    (["--json", "limit", "u"], ["unset"]),
    (["limit", "set", "ana@example.com", "hour", "5/1h", "--"], ["--burst", "--for", "--permanent", "--reason"]),
    (["limits", ""], []),
    (["ban", ""], []),
    (["-s", "/etc/passw"], ["/etc/passwd"]),
])
def test_what_fits_is_offered(words, offered):
    assert [word for word in complete(*words) if word != "/etc/passwd-"] == offered
