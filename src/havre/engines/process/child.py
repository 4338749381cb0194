"""Between fork and exec: what turns a copy of the supervisor into a replica, or into a command inside one."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from collections.abc import Callable, Sequence

from havre.engines.process import kernel, view
from havre.engines.process.cgroups import Groups
from havre.engines.process.records import Launch


class LaunchError(Exception):
    """The program could not be started; the text is for people."""


def start_replica(launch: Launch, directory: str, groups: Groups, group: str) -> int:
    """Fork and exec the replica; returns its pid once the program runs. Raises LaunchError."""

    def become() -> None:
        os.setsid()
        _attach(
            os.open(os.devnull, os.O_RDONLY),
            os.open(f"{directory}/stdout", os.O_RDWR),
            os.open(f"{directory}/stderr", os.O_RDWR),
        )
        groups.join(group)
        _limit(launch.limits)
        if launch.isolated:
            view.enter_private_namespace(os.getuid(), os.getgid())
            view.build_root(launch.places, launch.reveal, launch.uid)
        _become_user(launch.uid, launch.gid, launch.groups)
        if launch.no_new_privileges:
            kernel.forbid_new_privileges()
        _execute(launch.argv, dict(launch.environment), launch.workdir)

    return _fork(become)


def start_inside(
    launch: Launch, pid: int, argv: Sequence[str], environment: dict[str, str], streams: Sequence[int],
    *, user: tuple[int, int] | None, terminal: bool, groups: Groups, group: str,
) -> int:  # fmt: skip
    """Fork and exec a command in the world of the replica whose main process is `pid`."""

    def become() -> None:
        os.setsid()
        _attach(*streams)
        if terminal:
            _take_terminal()
        groups.join(group)
        if launch.isolated:
            _enter(pid)
        uid, gid = user or (launch.uid, launch.gid)
        _become_user(uid, gid, launch.groups if user is None else ())
        _execute(argv, environment, launch.workdir)

    return _fork(become)


def try_private_view() -> str:
    """Empty when this machine lets us give a replica its own view of the file system, else why not."""

    def become() -> None:
        try:
            view.enter_private_namespace(os.getuid(), os.getgid())
            view.build_root((), (), os.getuid())
        except OSError as error:
            raise OSError(error.errno, _why_no_view(error)) from error
        os._exit(0)

    try:
        os.waitpid(_fork(become), 0)
    except LaunchError as error:
        return str(error)
    return ""


def _why_no_view(error: OSError) -> str:
    """The kernel's short words, with the setting that is usually behind them."""
    settings = {
        errno.ENOSPC: "user.max_user_namespaces is 0 or used up",
        errno.EPERM: "kernel.unprivileged_userns_clone or a security module forbids user namespaces",
        errno.EACCES: "kernel.apparmor_restrict_unprivileged_userns forbids mounts in user namespaces",
        errno.EINVAL: "this kernel was built without user namespaces",
    }
    setting = settings.get(error.errno or 0) if os.geteuid() != 0 else "a security module or a container forbids mounts"
    return f"{error.strerror}{f': {setting}' if setting else ''}"


def _fork(become: Callable[[], None]) -> int:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_child(become, writing)
    os.close(writing)
    said = b""
    while block := os.read(reading, 4096):
        said += block
    os.close(reading)
    if said:
        os.waitpid(pid, 0)
        raise LaunchError(json.loads(said))
    return pid


def _run_child(become: Callable[[], None], report: int) -> None:
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        become()
    except OSError as error:
        os.write(report, json.dumps(_words(error)).encode())
    finally:
        os._exit(127)


def _words(error: OSError) -> str:
    place = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{place}"


def _attach(stdin: int, stdout: int, stderr: int) -> None:
    handles = [os.dup(handle) for handle in (stdin, stdout, stderr)]
    for number, handle in enumerate(handles):
        os.dup2(handle, number, inheritable=True)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _limit(limits: Sequence[tuple[str, int, int]]) -> None:
    for name, soft, hard in limits:
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            continue
        _, most = resource.getrlimit(number)
        if os.geteuid() != 0 and most != resource.RLIM_INFINITY:
            soft, hard = (min(value, most) if value >= 0 else most for value in (soft, hard))
        resource.setrlimit(number, (soft, hard))


def _become_user(uid: int, gid: int, groups: Sequence[int]) -> None:
    if uid < 0 or os.geteuid() != 0 or (uid, gid) == (0, 0):
        return
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _enter(pid: int) -> None:
    handles = [os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)]
    if os.geteuid() != 0:
        handles.insert(0, os.open(f"/proc/{pid}/ns/user", os.O_RDONLY))
    for handle in handles:
        kernel.enter_namespace(handle)


def _execute(argv: Sequence[str], environment: dict[str, str], workdir: str) -> None:
    try:
        os.chdir(workdir)
    except FileNotFoundError as error:
        raise OSError(error.errno, "no such working directory", workdir) from error
    try:
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606
    except OSError as error:
        raise OSError(error.errno, error.strerror, argv[0]) from error
