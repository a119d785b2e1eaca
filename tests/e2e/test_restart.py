"""What is kept over a restart, in files of state_dir."""
import pytest

RULES = {"usual": {"limits": {"account-hour": {"key": ["account"], "count": "recipients", "rate": "100/1h"}}}}


@pytest.fixture
def gateway(new_gateway, new_smtp):
    return new_gateway(new_smtp(), policies=RULES, listener={"policy": "usual"})


def restart(gateway):
    """What has been said to standard error is forgotten."""
    gateway.stop()
    gateway.stderr_file.unlink()
    gateway.start()


def test_counters_in_memory_are_read_and_written(gateway):
    place = gateway.folder / "state" / "limits"
    restart(gateway)
    assert "event=limits_restored" in gateway.stderr_text()
    assert place.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.parent.glob("limits*")] == ["limits"]


def test_a_damaged_file_of_counters_is_said_and_holds_nobody_up(gateway):
    place = gateway.folder / "state" / "limits"
    gateway.stop()
    place.write_bytes(place.read_bytes()[:-1])
    gateway.start()
    assert f'event=limits_refused process=master reason="{place}: it is not whole"' in gateway.stderr_text()
    restart(gateway)
    assert "event=limits_restored" in gateway.stderr_text()
