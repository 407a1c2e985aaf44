#!/bin/sh
# The system packages that the test suite needs. As root on Debian or Ubuntu the missing ones are
# installed, without starting any service; elsewhere they are named, and that is an error.
#   packages.sh                everything for `make test`
#   packages.sh venv PYTHON    the venv module of that interpreter
set -eu

have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }
any() { for one in "$@"; do [ -e "$one" ] && return 0; done; return 1; }

venv_of() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }
samba_library() { /usr/bin/python3 -I -c 'import samba.provision' >/dev/null 2>&1; }
browser() { have chromium || have chromium-browser || have google-chrome; }

# Each line: the Debian package, then what tells that it is there.
missing() {
	have setpriv || echo util-linux
	have samba || echo "samba samba-ad-dc"
	any /usr/lib/*/samba/ldb/samba_dsdb.so /usr/lib/*/ldb/modules/ldb/samba_dsdb.so \
		|| echo samba-dsdb-modules
	any /usr/share/samba/setup/ad-schema || echo samba-ad-provision
	samba_library || echo python3-samba
	have winbindd || echo winbind
	have slapd || echo slapd
	have ldapsearch || echo ldap-utils
	any /usr/lib/postgresql/*/bin/postgres || have postgres || echo postgresql
	have pgbouncer || echo pgbouncer
	browser || echo chromium
	have nginx || echo nginx-light
	have apache2 || echo apache2
	any /usr/lib/apache2/modules/mod_auth_openidc.so || echo libapache2-mod-auth-openidc
	have kinit || echo krb5-user
	have krb5-config || echo libkrb5-dev
	have gcc || echo "gcc libc6-dev"
	any "$headers/Python.h" || echo python3-dev
	have wrk || echo wrk
	have curl || echo curl
	have node || echo nodejs
	have npm || echo npm
}

install() {
	guard=/usr/sbin/policy-rc.d
	if [ ! -e "$guard" ]; then # a package's daemon stays off: the tests start their own
		printf '#!/bin/sh\nexit 101\n' >"$guard"
		chmod 755 "$guard"
		trap 'rm -f "$guard"' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	echo "Installing system packages: $*"
	apt-get update -qq
	wanted=""
	for one in "$@"; do # other releases name or bundle some of them differently
		if apt-cache show "$one" >/dev/null 2>&1; then wanted="$wanted $one"; fi
	done
	# shellcheck disable=SC2086 - a list of words
	apt-get install -y -qq --no-install-recommends $wanted >/dev/null
}

low_ports() {
	[ "$(id -u)" = 0 ] && return 0
	first=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)
	[ "$first" -le 88 ]
}

can_install() { [ "$(id -u)" = 0 ] && have apt-get; }

if [ "${1:-}" = venv ]; then
	python=$2
	if can_install; then
		install "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
	fi
	venv_of "$python" && exit 0
	echo "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2
	exit 1
fi

python=${PYTHON:-python3}
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])' 2>/dev/null || :)
found=$(missing)
if [ -n "$found" ] && can_install; then
	# shellcheck disable=SC2086 - a list of words
	install $found
	found=$(missing)
fi
if [ -n "$found" ]; then
	{
		echo "The test suite needs programs that are not here. Debian packages:"
		echo "$found" | sed 's/^/  /'
		echo "Install them, or run 'make test' as root on Debian or Ubuntu."
		echo "'make check' runs what needs none of them."
	} >&2
	exit 1
fi
if ! low_ports; then
	{
		echo "The test suite runs a domain controller, which listens on ports 88, 389 and 636."
		echo "Run it as root, or allow them: sysctl net.ipv4.ip_unprivileged_port_start=88"
	} >&2
	exit 1
fi
