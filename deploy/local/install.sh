#!/usr/bin/env bash
# Installs what building, testing and the local Kubernetes need, and nothing that is there already.
#
#   install.sh [apt] [programs] [venv] [rival]     default: the first three
#     apt       Debian packages of packages.txt that are missing
#     programs  etcd, the Kubernetes programs, pause, helm, versitygw, coredns  -> build/local/bin
#     venv      Python packages of requirements.txt                             -> build/venv
#     rival     Go's side of tests/bench/controller, for `make test`            -> build/local/bin
#
# Go programs are kept in ${SLUICE_CACHE:-~/.cache/sluice}/local-bin under a hash of what they are
# built from, so that a second clone on the same machine does not build them again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/build/local/bin
cache=${SLUICE_CACHE:-$HOME/.cache/sluice}/local-bin

kube_version=1.36.3
version=k8s.io/component-base/version
stamp="-X $version.gitVersion=v$kube_version -X $version.gitMajor=1 -X $version.gitMinor=36"
ldflags="-s -w $stamp"
kube_names=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
# Static programs that depend on nothing around this checkout.
# GOGC: the compiler collects its garbage less often, an eighth less CPU for some memory. No debug
# information: a fourteenth less again, and -s -w leaves it out of the programs anyway.
export GOGC=400 CGO_ENABLED=0 GOWORK=off
export GOFLAGS="${GOFLAGS:-} -buildvcs=false -trimpath -gcflags=all=-dwarf=false"

say() { echo "install: $*" >&2; }
die() { say "$*"; exit 1; }

install_apt() {
  local wanted missing=()
  wanted=$(grep -v '^#' "$here/packages.txt")
  for package in $wanted; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  [ "$(id -u)" = 0 ] || die "run as root, or install: ${missing[*]}"
  say "apt: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null
  # A package's service must not start: the machine may have no service manager, and its ports are
  # ours.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made=1
  fi
  local status=0
  apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null || status=$?
  if [ -n "$made" ]; then rm -f $policy; fi
  [ $status = 0 ] || die "apt-get install failed"
}

need_go() {
  command -v go >/dev/null || die "Go 1.26 or newer is needed"
  local minor
  minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
  [ "$minor" -ge 26 ] || die "Go 1.26 or newer is needed; this is $(go env GOVERSION)"
}

# build_cached NAME [FOLDER]: runs build_NAME into a cache folder once per content of FOLDER
# (NAME/ beside this file), links it to $out.
build_cached() {
  local name=$1 folder=${2:-$here/$1} key dir
  key=$( (cd "$folder" && find . "$here/pause.c" -type f | sort | xargs cat; echo "$GOFLAGS $ldflags"
    go env GOVERSION) | sha256sum | cut -c1-16)
  dir=$cache/$name-$key
  mkdir -p "$cache" "$out"
  exec 9>"$cache/$name.lock"
  flock 9
  if [ ! -e "$dir/.done" ]; then
    say "$name: building (the first time takes minutes)"
    rm -rf "$dir" && mkdir -p "$dir"
    local start=$SECONDS
    (cd "$folder" && "build_$name" "$dir")
    touch "$dir/.done"
    say "$name: built in $((SECONDS - start)) s"
  fi
  local file
  for file in "$dir"/*; do
    if [ ! "$out/${file##*/}" -ef "$file" ]; then
      rm -f "$out/${file##*/}"
      ln "$file" "$out/" 2>/dev/null || cp -p "$file" "$out/"
    fi
  done
  flock -u 9
}

# go_build OUT PACKAGES...: go build that tells how far it is; it would be silent for minutes.
go_build() {
  local out=$1 total count=0 start=$SECONDS line
  shift
  say "$name: fetching modules"
  total=$(go list -deps "$@" 2> >(grep -v '^go: downloading' >&2) | wc -l)
  go build -v -ldflags "$ldflags" -o "$out" "$@" 2>&1 | while IFS= read -r line; do
    case $line in
      *[[:space:]]*) echo "$line" >&2 ;;  # what the compiler has to say; a package is one word
      *)
        count=$((count + 1))
        [ $((count % 200)) != 0 ] ||
          say "$name: $count of at most $total packages, $((SECONDS - start)) s"
        ;;
    esac
  done
}

# One module and one build: what the programs share (Kubernetes' client alone is a fifth of it all)
# is compiled once, and one is linked while another is compiled.
build_programs() {
  go_build "$1/" tool ./...
  "${CC:-cc}" -Os -static -Wall -Wextra -o "$1/pause" "$here/pause.c"
}

build_rival() {
  go_build "$1/controller-runtime-widget" .
}

install_programs() {
  need_go
  build_cached programs
  for name in "${kube_names[@]}"; do ln -sfn kube "$out/$name"; done
}

install_rival() {
  need_go
  build_cached rival "$root/tests/bench/controller/rival"
}

install_venv() {
  local venv=$root/build/venv key
  key=$( (cat "$here/requirements.txt"; python3 --version) | sha256sum | cut -c1-16)
  if [ -e "$venv/.done-$key" ]; then return; fi
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    say "apt: python3-venv"
    { apt-get update -q && apt-get install -y -q --no-install-recommends python3-venv; } >/dev/null
  fi
  say "venv: $(grep -cv '^#' "$here/requirements.txt") packages"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  touch "$venv/.done-$key"
}

case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;; esac
[ $# -gt 0 ] || set -- apt programs venv
for step in "$@"; do
  case $step in
    apt | programs | venv | rival) "install_$step" ;;
    *) say "unknown step '$step'; see --help"; exit 2 ;;
  esac
done
