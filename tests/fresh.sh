#!/bin/sh
# Runs a command of the project on a machine that has nothing: HEAD, without what is not committed,
# in a minimal Debian made for it. Needs root on Debian or Ubuntu.
#   fresh.sh [bookworm|trixie] [COMMAND...]     default: trixie, make test
# The Debian is kept below ${TMPDIR:-/tmp}/kerauno-fresh and used again until what the project
# installs changes; FRESH_NEW=1 makes it anew. Nothing of this machine is in it but how it reaches
# the packages: mirror, proxy, certificates and name servers.
# Ends as COMMAND ends; with 75 where packages could not be fetched, although tried again.
set -eu

AWAY=75
BASE=git,make,python3,ca-certificates,iproute2
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
# What apt, debootstrap and pip write when the other side is not there.
NETWORK='[Tt]emporary failure|Could not resolve|unable to resolve|Could not connect|[Uu]nable to connect'
NETWORK="$NETWORK|Connection (timed out|refused|reset|failed)|onnection broken|[Nn]etwork is unreachable"
NETWORK="$NETWORK|No route to host|[Tt]imed out|Max retries exceeded|50[234] +[A-Z]|HTTP error 50[234]"
NETWORK="$NETWORK|Failed getting release file|Couldn.t download"

say() { echo "fresh: $*" >&2; }
fail() { say "$*"; exit 1; }

# Run a command; where the network kept it from its end, again, and then give up with $AWAY.
fetching() {
	what=$1
	shift
	for pause in 15 45 90 end; do
		status=0
		"$@" >"$log" 2>&1 </dev/null || status=$?
		[ "$status" != 0 ] || return 0
		tail -n 15 "$log" >&2
		grep -Eq "$NETWORK" "$log" || fail "$what failed with $status; all of it is in $log"
		[ "$pause" = end ] || { say "$what: packages out of reach, again in $pause s"; sleep "$pause"; }
	done
	say "$what: PACKAGES COULD NOT BE FETCHED, so nothing was tried on a fresh $release"
	exit "$AWAY"
}

# The mirror from which this machine's own apt takes Debian.
mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
		2>/dev/null | grep -v '^ *#' | tr ' \t' '\n\n' | grep -E '^https?://.*/debian/?$' | head -n 1
}

make_root() {
	uri=$(mirror)
	[ -n "$uri" ] || fail "no Debian mirror is named in /etc/apt"
	if ! command -v debootstrap >/dev/null; then
		fetching "apt-get update" apt-get update
		fetching "installing debootstrap" apt-get install -y --no-install-recommends debootstrap
	fi
	say "making a minimal $release in $root"
	fetching debootstrap make_anew
	echo "$wanted" >"$root.made"
}

make_anew() {
	rm -rf --one-file-system "$root" "$root.made"
	debootstrap --variant=minbase --include="$BASE" "$release" "$root" "$uri"
}

# How this machine reaches packages, for the programs in there.
hand_on() {
	bundle=${PIP_CERT:-${SSL_CERT_FILE:-$CERTIFICATES}}
	[ ! -s "$bundle" ] || cat "$bundle" >"$root$CERTIFICATES"
	for file in /etc/resolv.conf /etc/hosts; do
		[ ! -e "$file" ] || cat "$file" >"$root$file"
	done
	apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$root/etc/apt/apt.conf.d/90reach" || :
	env | grep -Ei '^(https?_proxy|no_proxy|all_proxy|pip_(index_url|extra_index_url|trusted_host|proxy|default_timeout)|npm_config_(registry|proxy|https_proxy))=' >"$reach" || :
	for name in index-url proxy trusted-host; do
		variable=PIP_$(echo "$name" | tr a-z- A-Z_)
		value=$(python3 -m pip config get "global.$name" 2>/dev/null) || continue
		grep -q "^$variable=" "$reach" || echo "$variable=$value" >>"$reach"
	done
	for name in PIP_CERT SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS; do
		echo "$name=$CERTIFICATES" >>"$reach"
	done
}

# Run a command in there, with mounts and processes of its own, which end with it.
inside() {
	# shellcheck disable=SC2016 - the inner shell's variables
	unshare --mount --propagation private --pid --fork --kill-child sh -c '
		set -eu
		root=$1 reach=$2
		shift 2
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		mount -t tmpfs tmpfs "$root/run"
		set -- sh -c "cd /root/project && exec \"\$@\"" sh "$@"
		while IFS= read -r line; do set -- "$line" "$@"; done <"$reach"
		status=0 # this shell stays, to be the parent of what loses its own
		chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 CI="${CI:-}" TERM="${TERM:-dumb}" \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			DEBIAN_FRONTEND=noninteractive "$@" </dev/null || status=$?
		exit "$status"
	' sh "$root" "$reach" "$@"
}

release=trixie
case "${1:-}" in
bookworm | trixie)
	release=$1
	shift
	;;
esac
[ $# -gt 0 ] || set -- make test
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || fail "only root can make a fresh Debian: sudo make test-fresh"
for program in apt-get unshare chroot flock; do
	command -v "$program" >/dev/null || fail "needs $program, of Debian or Ubuntu"
done
unshare --mount --pid --fork true || fail "this machine allows no mounts and processes apart"
cd "$(dirname "$0")/.."

folder=${TMPDIR:-/tmp}/kerauno-fresh
mkdir -p "$folder"
[ -O "$folder" ] || fail "$folder belongs to somebody else"
chmod 700 "$folder"
root=$folder/$release log=$folder/$release.log reach=$folder/$release.reach
exec 9>"$root.lock"
flock -n 9 || { say "waiting for another run on the same $release"; flock 9; }

wanted="$BASE $(cksum <tests/packages.sh)"
if [ -n "${FRESH_NEW:-}" ] || [ "$(cat "$root.made" 2>/dev/null)" != "$wanted" ]; then make_root; fi
hand_on
rm -rf --one-file-system "$root/root/project" "$root/tmp" "$root/var/tmp"
mkdir -m 1777 "$root/tmp" "$root/var/tmp"
mkdir "$root/root/project"
git -c safe.directory='*' archive --output="$root/root/project.tar" HEAD
tar -x -f "$root/root/project.tar" -C "$root/root/project"
rm "$root/root/project.tar"

say "installing what $release needs"
fetching "apt-get update" inside apt-get update
fetching "make ready" inside make ready
say "$*"
inside "$@"
