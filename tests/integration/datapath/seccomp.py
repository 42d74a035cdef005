"""The agents' seccomp profile (deploy/seccomp), as a child process can put it on before it becomes the agent."""
import ctypes
import errno
import json
import pathlib

PROFILE = pathlib.Path(__file__).resolve().parents[3] / "deploy/seccomp/sluice-agent.json"

KILL_PROCESS = 0x80000000
ALLOW = 0x7FFF0000
ERRNO = 0x00050000
COMPARE = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}


class Argument(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def under_profile():
    """For subprocess.Popen(preexec_fn=...). A call that the profile refuses ends the process by SIGSYS, where a container's
    would see EPERM: a test is to hear of it."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    profile = json.loads(PROFILE.read_text())
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))
    for rule in profile["syscalls"]:
        action = ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else ERRNO | rule["errnoRet"]
        arguments = [Argument(each["index"], COMPARE[each["op"]], each["value"], each.get("valueTwo", 0))
                     for each in rule.get("args", [])]
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                continue  # of the other architecture
            failed = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(arguments),
                                                    (Argument * len(arguments))(*arguments))
            if failed:
                raise OSError(-failed, f"seccomp rule for {name}: {errno.errorcode.get(-failed)}")

    def put_on():
        failed = library.seccomp_load(context)  # sets no_new_privs, too
        if failed:
            raise OSError(-failed, "seccomp_load")

    return put_on
