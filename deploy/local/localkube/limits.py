"""Every bound and deadline of the local cluster, in one place. Seconds unless a name says
otherwise.
"""

# One instance owns one slot: a loopback address 127.77.<slot>.1 and the networks
# 10.<200+slot>.0.0/16.
MAX_SLOTS = 50
FIRST_SUBNET = 200
MAX_NODES = 8

UP_DEADLINE = 180.0  # the whole of `up`, unless --deadline says otherwise
STOP_GRACE = 10.0  # TERM to KILL when one component is stopped
KILL_DEADLINE = 20.0  # until every process of an instance is gone after KILL
CGROUP_DEADLINE = 10.0  # until the emptied cgroups can be removed
LOCK_DEADLINE = 120.0  # for the registry; held while leftovers are cleared
COMMAND_DEADLINE = 60.0  # one external command (ip, openssl, ctr version)
IMAGE_DEADLINE = 300.0  # one image import
REQUEST_TIMEOUT = 5.0  # one request to the API server
POLL_INTERVAL = 0.05  # between two looks at something awaited

LOG_TAIL_LINES = 25  # of a component's log, shown when it fails
NODE_RUN_BYTES = "256m"  # tmpfs at a node's /run
AUDIT_LOG_MB = 50
