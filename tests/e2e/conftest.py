"""End-to-end tests: the gateway between real clients and real servers.

Run as root on Debian 12 with the packages of contrib/packages:

    pytest tests/e2e            # PORTEIRO_BUILD: the build folder; default build/Release-gcc
    pytest tests/e2e -n 2 --dist loadfile    # two files at a time
    pytest tests/e2e --long     # with what takes longer
"""
import ctypes
import os
import shutil

import pytest

from fixtures import build, processes

pytest_plugins = [
    "fixtures.folders",
    "fixtures.tls",
    "fixtures.clock",
    "fixtures.gateway",
    "fixtures.postfix",
    "fixtures.dovecot",
    "fixtures.saslauthd",
    "fixtures.redis",
    "fixtures.scripted",
    "fixtures.judge",
    "fixtures.policy_server",
    "fixtures.milter",
    "fixtures.milter_peer",
    "fixtures.filters",
]

PROGRAMS = ["clamav-milter", "clamd", "curl", "dovecot", "fetchmail", "gsasl", "mpop", "miltertest", "msmtp", "mutt", "node", "opendkim",
            "openssl", "perl", "php", "postfix", "postgrey", "redis-cli", "redis-sentinel", "redis-server", "rspamd",
            "saslpasswd2", "setpriv", "spamass-milter", "spamd", "swaks"]


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run what takes more than a few seconds")


def pytest_configure(config):
    missing = [p for p in PROGRAMS if shutil.which(p) is None]
    if os.geteuid() != 0:
        raise pytest.UsageError("the end-to-end tests must be run as root")
    if missing:
        raise pytest.UsageError(f"missing: {', '.join(missing)}; install the packages of contrib/packages")
    if not os.access(build.PORTEIROD, os.X_OK):
        raise pytest.UsageError(f"no {build.PORTEIROD}; build first, or set PORTEIRO_BUILD")


def pytest_sessionstart(session):
    """Whoever loses his parent, as the workers of a killed master, becomes our child."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


left_behind = []    # told by the processes that have run tests


def pytest_sessionfinish(session):
    """With -n each of several processes runs tests, and one that has none of its own sums up."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = processes.end_children()
        return
    left = left_behind if session.config.getoption("numprocesses", None) else processes.end_children()
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nleft behind by a test: " + "; ".join(left))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    left_behind.extend(getattr(node, "workeroutput", {}).get("left", []))


def pytest_collection_modifyitems(config, items):
    long = pytest.mark.skip(reason="long; runs with --long")
    release = pytest.mark.skip(reason="left out of an Asan build: LeakSanitizer needs /proc and to trace itself")
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(long)
        if item.get_closest_marker("release") and build.IS_ASAN:
            item.add_marker(release)
