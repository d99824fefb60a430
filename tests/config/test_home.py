"""The folder, its lock and its ports: whatever is wrong is named before anything starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.secret_files import is_locked, read_or_create_secret, replace_text
from config.supervision import embedded_servers, ports
from config.supervision import home as homes
from config.supervision.errors import StartError


def test_a_second_start_on_the_same_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    handle = homes.claim_home(tmp_path)
    with pytest.raises(StartError, match=f"already runs in .*process {os.getpid()}"):
        homes.claim_home(tmp_path)
    assert is_locked(tmp_path / "run" / "lock")
    os.close(handle)
    assert not is_locked(tmp_path / "run" / "lock")
    os.close(homes.claim_home(tmp_path))


def test_a_folder_too_deep_for_the_databases_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"CANDLEKEEP_HOME is too deep.*at most 103"):
        homes.claim_home(tmp_path / ("d" * 100))


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StartError, match=f"network file system \\({kind}\\).*CANDLEKEEP_HOME"):
        homes.check_file_system(tmp_path, kind)


def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount(tmp_path: Path) -> None:
    homes.check_file_system(tmp_path, homes.file_system_of(tmp_path))
    assert homes.file_system_of(Path("/proc/self")) == "proc" or sys.platform != "linux"


def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StartError, match="cannot be written"):
        homes.claim_home(tmp_path / "taken" / "home")


def test_data_of_another_postgresql_is_named(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartError, match=r"PostgreSQL 17.*brings PostgreSQL 18"):
        homes.claim_home(tmp_path)


def test_the_lock_file_of_a_killed_postgresql_is_removed_where_its_number_is_another_programs(tmp_path: Path) -> None:
    pid = tmp_path / "postmaster.pid"
    pid.write_text(f"{os.getpid()}\n{tmp_path}\n")
    embedded_servers._drop_stale_lock(tmp_path)
    assert not pid.exists()


@pytest.mark.slow
def test_the_lock_file_of_a_running_postgresql_stays(tmp_path: Path) -> None:
    serving = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", str(tmp_path)], stdin=-1)
    pid = tmp_path / "postmaster.pid"
    pid.write_text(f"{serving.pid}\n")
    embedded_servers._drop_stale_lock(tmp_path)
    serving.communicate(b"")
    assert pid.exists()


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} on 127.0.0.1 is taken.*Set PORT"):
            ports.check_free("PORT", "127.0.0.1", port)


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(StartError, match=r"203\.0\.113\.7:8000 cannot be listened on.*HOST"):
        ports.check_free("PORT", "203.0.113.7", 8000)


def test_a_chosen_port_is_kept_until_another_program_takes_it(tmp_path: Path) -> None:
    first = ports.choose_port(tmp_path, "VALKEY_PORT", 0)
    assert ports.choose_port(tmp_path, "VALKEY_PORT", 0) == first
    with socket.create_server(("127.0.0.1", first)):
        assert ports.choose_port(tmp_path, "VALKEY_PORT", 0) != first
    wanted = embedded_servers.free_port()
    assert ports.choose_port(tmp_path, "VALKEY_PORT", wanted) == wanted


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "run" / "secret"
    assert read_or_create_secret(path) == read_or_create_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_a_text_is_replaced_whole_and_stays_its_owners(tmp_path: Path) -> None:
    replace_text(tmp_path / "a", "first")
    replace_text(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "second"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
