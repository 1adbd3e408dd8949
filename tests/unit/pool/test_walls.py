"""What every container gets from the first day, in the configuration that the engine is given."""

from __future__ import annotations

import pytest

from pool import seccomp
from pool.container_config import Owner, container_config
from pool.template import Template

TEMPLATE = Template(name="python", language="python", image="petri/python", memory_mib=256, pids=64, cpus=0.5)
CONFIG = container_config("sb_1", TEMPLATE, "sha256:abc", 210_007, Owner("default", "boot1", "/run/x.lock", "host1"))
HOST = CONFIG["HostConfig"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NetworkMode", "none"),
        ("ReadonlyRootfs", True),
        ("CapDrop", ["ALL"]),
        ("SecurityOpt", ["no-new-privileges:true", seccomp.security_opt()]),
        ("Memory", 256 << 20),
        ("MemorySwap", 256 << 20),
        ("PidsLimit", 64),
        ("NanoCpus", 500_000_000),
        ("IpcMode", "none"),
        ("CgroupnsMode", "private"),
        ("LogConfig", {"Type": "none", "Config": {}}),
        ("Privileged", False),
    ],
)
def test_each_wall_is_there(key, value):
    assert HOST[key] == value


def test_the_engine_chooses_the_runtime_unless_the_template_does():
    assert HOST["Runtime"] == ""
    assert under("kata") == {**HOST, "Runtime": "kata"}


@pytest.mark.parametrize("runtime", ["runsc", "runsc-kvm", "io.containerd.runsc.v1"])
def test_gvisor_counts_the_guests_tasks_and_the_cgroup_what_it_makes_of_them(runtime):
    config = under(runtime)
    assert {"Name": "nproc", "Soft": 64, "Hard": 64} in config.pop("Ulimits")
    # Its own kernel needs 50 tasks at rest; 60 busy processes of a guest were 1,660 of the host's.
    assert 1660 < config.pop("PidsLimit") < 4096
    assert config == {**{key: HOST[key] for key in HOST if key not in ("Ulimits", "PidsLimit")}, "Runtime": runtime}


def under(runtime):
    owner = Owner("default", "boot1", "/run/x.lock", "host1")
    other = TEMPLATE.model_copy(update={"runtime": runtime})
    return container_config("sb_1", other, "sha256:abc", 210_007, owner)["HostConfig"]


def test_only_what_boots_in_the_background_has_a_small_share_in_the_processors():
    owner = Owner("default", "boot1", "/run/x.lock", "host1")
    background = container_config("sb_1", TEMPLATE, "sha256:abc", 210_007, owner, background=True)["HostConfig"]
    assert HOST["CpuShares"] == 0, "0 is the kernel's own"
    assert 2 <= background["CpuShares"] < 1024
    assert background == {**HOST, "CpuShares": background["CpuShares"]}


def test_nothing_of_the_host_is_mounted():
    assert not {"Binds", "Mounts", "Devices", "VolumesFrom", "Links", "CapAdd", "PidMode", "UsernsMode"} & HOST.keys()


def test_a_slot_runs_as_a_user_of_its_own_without_root():
    assert CONFIG["User"] == "210007:210007"
    for options in HOST["Tmpfs"].values():
        assert "uid=210007" in options
        assert {"nosuid", "nodev"} <= set(options.split(","))


def test_every_place_to_write_has_a_size_and_a_number_of_files():
    assert HOST["Tmpfs"].keys() == {"/workspace", "/tmp", "/dev/shm"}
    for options in HOST["Tmpfs"].values():
        assert {"size", "nr_inodes"} <= {option.partition("=")[0] for option in options.split(",")}


def test_a_crash_starts_no_handler_of_the_hosts():
    assert {"Name": "core", "Soft": 1, "Hard": 1} in HOST["Ulimits"]


def test_what_engines_mask_by_themselves_is_masked_still():
    assert {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"} <= set(HOST["MaskedPaths"])


def test_the_channel_ends_with_the_one_client_that_holds_it():
    assert (CONFIG["OpenStdin"], CONFIG["StdinOnce"], CONFIG["Tty"]) == (True, True, False)


def test_labels_name_pool_and_boot():
    assert CONFIG["Labels"] == {
        "petri.pool": "default",
        "petri.boot": "boot1",
        "petri.lock": "/run/x.lock",
        "petri.host": "host1",
        "petri.sandbox": "sb_1",
        "petri.template": "python",
    }
