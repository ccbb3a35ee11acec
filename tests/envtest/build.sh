#!/usr/bin/env bash
# Builds the control plane for the tests, if its sources changed since it was last built.
# Usage: build.sh [FOLDER]. Prints the folder that holds kube-apiserver, etcd and the others.
# Exit code 3: Go is not installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-${CARGO_TARGET_DIR:-$root/target}/envtest}
version=1.36.3

mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock 9

cd "$here"
wanted=$(cat go.mod go.sum ./*.go build.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/.stamp" 2>/dev/null || true)" != "$wanted" ] || [ ! -x "$out/control-plane" ]; then
	if ! command -v go >/dev/null; then
		echo "Go is not installed, so the control plane for the tests cannot be built" >&2
		exit 3
	fi
	echo "building Kubernetes $version for the tests (some minutes, once)" >&2
	package=k8s.io/component-base/version
	flags="-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=36"
	flags="$flags -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
	CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "$flags" -o "$out/control-plane.new" .
	mv "$out/control-plane.new" "$out/control-plane"
	for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
		ln -sf control-plane "$out/$name"
	done
	echo "$wanted" >"$out/.stamp"
fi
echo "$out"
