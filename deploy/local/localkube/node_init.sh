#!/bin/sh
# First process of a node: makes the machine look like one of its own, then waits and reaps.
# Runs in fresh mount, process and host-name namespaces and the node's network namespace.
#   node_init.sh NODE_DIR HOST_NAME PROGRAMS_DIR RUN_BYTES
# The node gets its own /run (tmpfs), /var/lib and /var/log; everything else is the host's. So two
# nodes on one machine share no hostPath under those, as two machines would not. Paths are relative
# to NODE_DIR and mounted uncanonicalised (-c): the directory may itself lie under what is being
# covered.
set -eu
node_dir=$1 host_name=$2 programs=$3 run_bytes=$4
mount --make-rprivate /
cd "$node_dir"
mount -c -t tmpfs -o "mode=755,size=$run_bytes" tmpfs ./run
mkdir -p ./run/kube/bin ./run/lock
cp -r ./seed/. ./run/kube/
mount --bind "$programs" "$PWD/run/kube/bin"
cp ./run/kube/bin/pause ./run/kube/pause
mount -c --bind ./log /var/log
mount -c --bind ./lib /var/lib
mount -c --rbind ./run /run
mount --make-rshared /
hostname "$host_name"
exec /run/kube/pause
