#!/usr/bin/env bash
# Builds the control plane and the registry for the tests, each if its sources changed since it was last built.
# Usage: build.sh [FOLDER [control-plane|registry]]. Prints the folder that holds kube-apiserver, etcd and the others.
# Exit code 3: Go is not installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-${CARGO_TARGET_DIR:-$root/target}/envtest}
only=${2:-}
version=1.36.3

mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock 9

# build NAME MODULE FLAGS WHAT [LINK...]: the binary NAME, and links to it.
build() {
	local name=$1 flags=$3 what=$4 wanted link
	[ "${only:-$name}" = "$name" ] || return 0
	cd "$2"
	wanted=$({ cat go.mod go.sum ./*.go && echo "$flags"; } | sha256sum | cut -d' ' -f1)
	[ "$(cat "$out/.$name.stamp" 2>/dev/null || true)" != "$wanted" ] || [ ! -x "$out/$name" ] || return 0
	if ! command -v go >/dev/null; then
		echo "Go is not installed, so $what for the tests cannot be built" >&2
		exit 3
	fi
	echo "building $what for the tests (some minutes, once)" >&2
	CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "$flags" -o "$out/$name.new" .
	mv "$out/$name.new" "$out/$name"
	for link in "${@:5}"; do
		ln -sf "$name" "$out/$link"
	done
	echo "$wanted" >"$out/.$name.stamp"
}

package=k8s.io/component-base/version
flags="-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=36"
flags="$flags -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
build control-plane "$here" "$flags" "Kubernetes $version" etcd kube-apiserver kube-controller-manager kube-scheduler
build registry "$here/registry" "-s -w" "the registry of images"
echo "$out"
