#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A whole life of certificates in half a minute: `make demo`, or `sh contrib/demo.sh BUILD`.
#
# Starts dvcert-sandbox (a CertCentral and a Scutum on loopback) and dvcertd in a temporary folder, lets the answer to
# one paid order get lost on the way, and looks at the outcome with tools that are not ours. Every promise that is
# printed is checked; exit status 0 means that all of them held. Needs no root, no network, no web server, and nothing
# but the packages that the build needs. Ends what it started and removes its folder however it ends.
set -eu
umask 077
export LC_ALL=C

build=${1:-build/rel}
case $build in /*) ;; *) build=$(cd "$(dirname "$0")/.." && pwd)/$build ;; esac
dir=
sandbox_pid=
daemon_pid=
web_pid=

names="www.example.jp shop.example.jp xn--wgv71a119e.jp blog.example.jp"
n_names=4
limit=50 # seconds that one wait may take

# --- looks ---

if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
	live=1 bold=$(printf '\033[1m') dim=$(printf '\033[2m') green=$(printf '\033[32m') off=$(printf '\033[0m')
	# A table wider than the terminal cannot be drawn over.
	width=$(stty size 2>/dev/null </dev/tty | cut -d' ' -f2) || width=80
	[ "${width:-80}" -ge 80 ] || live=
else
	live='' bold='' dim='' green='' off=''
fi
n_step=0

step() {
	n_step=$((n_step + 1))
	printf '\n%s%d. %s%s\n   %s\n\n' "$bold" "$n_step" "$1" "$off" "$2"
}

indent() {
	sed 's/^/   /'
}

ok() {
	printf '   %sok%s  %s\n' "$green" "$off" "$1"
}

die() {
	printf '\ndemo: %s\n' "$1" >&2
	exit 1
}

# --- the end, whatever it is ---

# Ends a child of ours and returns its exit status.
end_child() {
	kill -TERM "$1" 2>/dev/null || :
	n=0
	while kill -0 "$1" 2>/dev/null && [ $n -lt 80 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	kill -KILL "$1" 2>/dev/null || :
	wait "$1" 2>/dev/null
}

finish() {
	status=$1
	trap - EXIT HUP INT TERM
	[ -z "$daemon_pid" ] || end_child "$daemon_pid" || :
	[ -z "$sandbox_pid" ] || end_child "$sandbox_pid" || :
	[ -z "$web_pid" ] || end_child "$web_pid" || :
	if [ "$status" -ne 0 ] && [ -n "$dir" ]; then
		for log in "$dir/sandbox.log" "$dir/dvcertd.log"; do
			[ ! -s "$log" ] || { echo "--- the end of $(basename "$log"):" && tail -n 15 "$log"; } >&2
		done
	fi
	[ -z "$dir" ] || rm -rf "$dir"
	exit "$status"
}
trap 'finish $?' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- helpers ---

ctl() {
	"$build/dvcertctl" -s "$dir/control.sock" "$@"
}

# A port of loopback, from $1 on, on which nobody listens, below the range from which the kernel gives them out.
free_port() {
	n=0
	port=$1
	while [ $n -lt 500 ]; do
		hex=$(printf '%04X' "$port")
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ":$hex [0-9A-F]*:0000 0A" || break
		port=$((port + 7))
		n=$((n + 1))
	done
	echo "$port"
}

# GET /sandbox/$1. openssl is here anyway, curl perhaps not.
ask_sandbox() {
	printf 'GET /sandbox/%s HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n' "$1" |
		openssl s_client -quiet -verify_return_error -CAfile "$dir/ca/ca.pem" -connect "$address" 2>/dev/null |
		sed '1,/^\r*$/d'
}

# One line for each object of a flat list.
objects() {
	tr -d '\n' | sed 's/^{"[a-z]*":\[//; s/\]}$//; s/},{/}\n{/g'
	echo
}

# The value of member $1 of the JSON object on stdin.
member() {
	sed -n 's/.*"'"$1"'": *"\{0,1\}\([^",}]*\).*/\1/p' | head -n 1
}

count_orders() {
	ask_sandbox orders | grep -o '"order_id":' | wc -l
}

live_generation() {
	basename "$(readlink "$dir/state/live/$1")"
}

drawn=0
# Shows where things stand: a table that is drawn over, or (not on a terminal) a line for each change of these domains.
show_progress() {
	if [ -n "$live" ]; then
		[ $drawn -eq 0 ] || printf '\033[%dA\033[J' $drawn
		ctl status
		drawn=$((n_names + 2))
	else
		ctl status | awk -v names=" $* " \
			'index(names, " " $1 " ") { print "   " $1 ": " $2 ($2 == "valid" ? "" : " (" $3 ")") }' |
			grep -vxF -f "$dir/seen" | tee -a "$dir/seen" || :
	fi
}

# Shows progress until all the domains are valid.
watch_until_valid() {
	drawn=0
	n=0
	: >"$dir/seen"
	while :; do
		kill -0 "$daemon_pid" 2>/dev/null || die "dvcertd is gone"
		kill -0 "$sandbox_pid" 2>/dev/null || die "dvcert-sandbox is gone"
		show_progress "$@"
		rc=0
		ctl wait "$@" --timeout 0s >/dev/null || rc=$?
		case $rc in
		0) break ;;
		75) ;;
		*) die "dvcertctl wait: exit status $rc" ;;
		esac
		sleep 0.2
		n=$((n + 1))
		[ $n -lt $((limit * 5)) ] || die "not valid within $limit s"
	done
	show_progress "$@"
}

check_certificate() {
	live_dir=$dir/state/live/$1
	openssl verify -CAfile "$dir/ca/ca.pem" -untrusted "$live_dir/chain.pem" -verify_hostname "$1" \
		"$live_dir/cert.pem" >/dev/null || die "$1: openssl verify does not accept the chain"
	openssl x509 -in "$live_dir/cert.pem" -noout -pubkey >"$dir/a.pub"
	openssl pkey -in "$live_dir/privkey.pem" -pubout >"$dir/b.pub"
	cmp -s "$dir/a.pub" "$dir/b.pub" || die "$1: the key does not belong to the certificate"
	ok "$1: $(openssl x509 -in "$live_dir/cert.pem" -noout -issuer -nameopt sep_multiline,utf8 |
		sed -n 's/^ *CN=/issued by /p'), until $(openssl x509 -in "$live_dir/cert.pem" -noout -enddate | cut -d= -f2)"
}

serial_of() {
	ctl --json show "$1" | member serial
}

# --- the story ---

prepare() {
	for program in dvcertd dvcertctl dvcert-sandbox; do
		[ -x "$build/$program" ] || die "$build/$program is missing: run make first"
	done
	dir=$(mktemp -d /tmp/dvcert-demo.XXXXXX)
	http_port=$(free_port $((20000 + $$ % 9000)))
}

start_sandbox() {
	step "A CertCentral and a Scutum, on loopback" \
		"dvcert-sandbox issues real X.509 and validates by really fetching. It takes its time, and will lose one answer."
	"$build/dvcert-sandbox" --listen 127.0.0.1:0 --dir "$dir/ca" --http-port "$http_port" --issue-delay 2s \
		--fault order:drop-after:times=1:skip=3 --fault '*:delay:delay_ms=250:times=0' >"$dir/sandbox.out" 2>"$dir/sandbox.log" &
	sandbox_pid=$!
	n=0
	until grep -q 'ready on' "$dir/sandbox.out"; do
		kill -0 "$sandbox_pid" 2>/dev/null && [ $n -lt 100 ] || die "dvcert-sandbox does not start"
		sleep 0.1
		n=$((n + 1))
	done
	indent <"$dir/sandbox.out"
	address=$(sed -n 's,.*ready on https://\([^ ]*\).*,\1,p' "$dir/sandbox.out")
}

# A TLS server as small as can be: it reads its files when it starts, so its reload is a new start.
start_web() {
	web_port=$(free_port $((http_port + 1)))
	mkdir "$dir/web"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=placeholder \
		-keyout "$dir/web/key.pem" -out "$dir/web/cert.pem" 2>/dev/null
	cp "$dir/web/cert.pem" "$dir/web/chain.pem"
	(
		server=
		trap 'kill "$server" 2>/dev/null; exit 0' TERM
		while :; do
			openssl s_server -accept "127.0.0.1:$web_port" -www -cert "$dir/web/cert.pem" \
				-cert_chain "$dir/web/chain.pem" -key "$dir/web/key.pem" >/dev/null 2>&1 </dev/null &
			server=$!
			echo $server >"$dir/web/pid"
			wait $server || :
		done
	) 2>/dev/null & # the shell tells of each server that is killed
	web_pid=$!
	printf '#!/bin/sh\nkill "$(cat %s)"\n' "$dir/web/pid" >"$dir/web/reload"
	chmod +x "$dir/web/reload"
}

served_serial() {
	openssl s_client -connect "127.0.0.1:$web_port" -servername "$1" </dev/null 2>/dev/null |
		openssl x509 -noout -serial | cut -d= -f2 | tr 'A-F' 'a-f'
}

check_served() {
	serial=$(serial_of "$1")
	[ "$(served_serial "$1" | sed 's/^0*//')" = "$(echo "$serial" | sed 's/^0*//')" ] ||
		die "$1: the web server serves another certificate"
	ok "$1: the web server serves serial $(echo "$serial" | cut -c1-16)..."
}

write_config() {
	step "The configuration" \
		"Four domains: EC and RSA keys, a further name, a name in another script; a web server to reload and look at, Scutum."
	start_web
	cp "$dir/ca/api-key" "$dir/certcentral-key"
	cp "$dir/ca/scutum-api-key" "$dir/scutum-key"
	echo "correct horse battery staple" >"$dir/passphrase"
	cat >"$dir/dvcertd.yaml" <<-END
		state_dir: $dir/state
		control_socket: $dir/control.sock
		log: {level: info, format: text}
		certcentral:
		  url: https://$address/services/v2
		  ca_file: ca/ca.pem
		  api_key_file: certcentral-key
		  poll_interval: 1s # the unit of all waiting times; 60s in real life
		scutum: {url: "https://$address/api/v1", ca_file: ca/ca.pem}
		responder: {listen: "127.0.0.1:$http_port"}
		preflight: {http: "127.0.0.1:$http_port"}
		defaults: {key: {type: ec, curve: P-256}, dcv: {method: http-token, responder: true}}
		domains:
		  - name: www.example.jp
		    dns_names: [example.jp]
		    deploy:
		      - files: {cert: $dir/web/cert.pem, chain: $dir/web/chain.pem, key: $dir/web/key.pem}
		      - exec: {command: [$dir/web/reload]}
		      - verify: {connect: "127.0.0.1:$web_port"}
		      - scutum: {host: www.example.jp, id: ABC1234, api_key_file: scutum-key}
		  - name: shop.example.jp
		    key: {type: rsa, bits: 2048}
		    deploy: [scutum: {host: shop.example.jp, id: ABC1235, api_key_file: scutum-key, key_passphrase_file: passphrase}]
		  - name: 日本語.jp
		  - name: blog.example.jp
	END
	sed -n '/^defaults/,$p' "$dir/dvcertd.yaml" | indent
	"$build/dvcertd" --check -c "$dir/dvcertd.yaml" >"$dir/check.out" 2>&1 || die "$(cat "$dir/check.out")"
	ok "dvcertd --check: $(sed 's,.*: ok,ok,' "$dir/check.out")"
}

issue() {
	step "dvcertd orders, proves and installs" \
		"Key and request are on disk before an order leaves; a proof is looked at before the CA is asked to."
	"$build/dvcertd" -c "$dir/dvcertd.yaml" 2>"$dir/dvcertd.log" &
	daemon_pid=$!
	n=0
	until ctl status >/dev/null 2>&1; do
		kill -0 "$daemon_pid" 2>/dev/null && [ $n -lt 100 ] || die "dvcertd does not start"
		sleep 0.1
		n=$((n + 1))
	done
	# shellcheck disable=SC2086
	watch_until_valid $names
}

show_lost_answer() {
	step "The answer that got lost" \
		"One order was placed, but its answer never came. dvcertd asks for its own reference and goes on with what it finds."
	lost=$(sed -n 's/^[^ ]* warning \([^:]*\): .*EVENT=order-adopted.*/\1/p' "$dir/dvcertd.log" | head -n 1)
	[ -n "$lost" ] || die "no order was adopted, although an answer was lost"
	ctl history "$lost" | sed -n '/issuance-started/,/order-validated/p' | indent
	[ "$(count_orders)" -eq $n_names ] || die "$(count_orders) orders for $n_names domains"
	ok "orders placed: $(count_orders) for $n_names domains"
}

show_files() {
	step "What is on disk" \
		"One symlink per domain leads to certbot's four files: key and chain change together, by one rename."
	(cd "$dir/state" && ls -l live archive/www.example.jp/0001 | awk 'NF > 8 { $2 = $3 = $4 = $6 = $7 = $8 = ""; print }' |
		sed 's/  */  /g') | indent
	printf '\n   openssl verify, with the CA'\''s root as the only anchor:\n'
	for name in $names; do
		check_certificate "$name"
	done
}

show_deployment() {
	step "Deployed is what was seen" \
		"Copies are written, the server is reloaded, and a TLS handshake proves that it serves the new certificate."
	ctl show www.example.jp | sed -n '/deploy/,/verify/p' | indent
	check_served www.example.jp
}

# $1: how many pushes there must be.
show_scutum() {
	ask_sandbox scutum | objects >"$dir/pushes"
	[ "$(grep -c '"host"' "$dir/pushes")" -eq "$1" ] || die "Scutum received $(cat "$dir/pushes"), not $1 pushes"
	while read -r push; do
		host=$(echo "$push" | member host)
		key="key as it is"
		! echo "$push" | grep -q '"encrypted_key":true' || key="key encrypted with the passphrase"
		ok "Scutum has $host: serial $(echo "$push" | member serial | cut -c1-16)..., $key"
	done <"$dir/pushes"
	for host in www.example.jp shop.example.jp; do
		serial=$(serial_of "$host")
		grep "\"host\":\"$host\"" "$dir/pushes" | tail -n 1 | grep -qi "\"serial\":\"0*${serial#00}\"" ||
			die "Scutum has another certificate for $host than live/"
	done
}

plan_another_name() {
	step "One more name" "The YAML names static.example.jp as well. dvcertctl plan says what that would do, before anything is loaded."
	sed -i 's/dns_names: \[example.jp\]/dns_names: [example.jp, static.example.jp]/' "$dir/dvcertd.yaml"
	ctl plan www.example.jp | indent
}

renew() {
	step "Reissued, live" \
		"A new name is a reissue inside the paid plan, like a renewal: no new order. dvcertctl reload does it at once."
	before=$(serial_of www.example.jp)
	ctl reload | indent || die "dvcertctl reload was refused"
	watch_until_valid www.example.jp
	after=$(serial_of www.example.jp)
	[ "$before" != "$after" ] && [ "$(live_generation www.example.jp)" = 0002 ] || die "nothing was reissued"
	openssl x509 -in "$dir/state/live/www.example.jp/cert.pem" -noout -ext subjectAltName | grep -q static.example.jp ||
		die "the new name is not in the certificate"
	echo
	ok "live/www.example.jp -> $(readlink "$dir/state/live/www.example.jp"), and 0001 is kept"
	check_certificate www.example.jp
	check_served www.example.jp
	show_scutum 3
}

stop() {
	step "The end" "Where everything stands; then SIGTERM: the daemon writes what is left to write and exits."
	ctl status | sed 's/^/   /'
	echo
	rc=0
	end_child "$daemon_pid" || rc=$?
	daemon_pid=
	[ "$rc" -eq 0 ] || die "dvcertd ended with exit status $rc"
	ok "dvcertd exited with 0"
	orders=$(count_orders)
	[ "$orders" -eq $n_names ] || die "$orders orders were placed"
	ok "orders placed: $orders for $n_names domains, and none for the reissue"
	printf '\n   %sNow yours: config/examples/minimal.yaml, and dvcertd --check -c FILE.%s\n\n' "$dim" "$off"
}

prepare
start_sandbox
write_config
issue
show_lost_answer
show_files
show_deployment
step "What Scutum received" "The sandbox's own record of pushes, asked over HTTPS; the serials are compared with live/."
show_scutum 2
plan_another_name
renew
stop
