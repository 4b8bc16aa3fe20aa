#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual pages are clean, and say what the programs say: every verb, option, key and exit code, and no other.
# Compares with the programs of $DVCERT_BUILD (build/rel, brought up to date, when that is not set).
# Usage: man.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1
command -v mandoc >/dev/null || {
	echo "lint man: mandoc is not installed, skipped"
	exit 0
}
build=${DVCERT_BUILD:-build/rel}
[ -n "${DVCERT_BUILD:-}" ] || make -s -j4 all >/dev/null || exit 1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
problems=0
files=0
yaml_page=$build/docs/man/dvcertd.yaml.5

say() {
	echo "$1"
	problems=$((problems + 1))
}

# Two sorted lists: $1 where they are from, $2 what they are, $3 file of the truth, $4 file of the page.
compare() {
	[ -s "$3" ] || say "$1: no $2 were found to compare with"
	for word in $(comm -23 "$3" "$4"); do say "$1:1: does not tell of the $2 $word"; done
	for word in $(comm -13 "$3" "$4"); do say "$1:1: tells of the $2 $word, which does not exist"; done
}

# The body of a section of a page: $1 page, $2 heading (a pattern of awk).
section() {
	awk -v want="^\\\\.S[hs] $2\$" '$0 ~ /^\.S[hs] / { inside = $0 ~ want } inside' "$1"
}

# The first words of the items of a list that begin with a macro: $1 macro.
items() {
	sed -n "s/^\\.It $1 \"\\{0,1\\}\\(\\\\&\\)\\{0,1\\}\\([^ \"]*\\).*/\\2/p"
}

options_of_help() {
	"$build/$1" --help | grep '^  *-' | sed 's/   *[^- ].*//' | grep -oE -- '--?[a-z][a-z-]*' | sort -u
}

# Every Fl of an item; "\-json" is --json.
options_of_page() {
	grep '^\.It Fl ' "$1" | grep -oE 'Fl [^ ]+' | sed 's/^Fl /-/; s/\\-/-/g' | sort -u
}

exit_codes_of_page() {
	section "$1" 'EXIT STATUS' | sed -n 's/^\.It \([0-9][0-9]*\)$/\1/p' | sort -u
}

check_page() {
	files=$((files + 1))
	mandoc -Tlint -W warning "$1" || problems=$((problems + 1))
	if grep -nE '[[:blank:]]$' "$1"; then say "$1: blank at the end"; fi
}

check_options() {
	options_of_help "$1" >"$work/help"
	options_of_page "$2" >"$work/page"
	compare "$2" option "$work/help" "$work/page"
}

check_verbs() {
	page=docs/man/dvcertctl.1
	"$build/dvcertctl" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\).*/\1/p' | sort >"$work/help"
	section $page Commands | items Cm | sort >"$work/page"
	compare $page command "$work/help" "$work/page"
}

# As often as a row has the name, so that a table without a section is seen.
check_keys() {
	grep -ohE '\.name = "[^"]*"' config/tables*.c | cut -d'"' -f2 | sort >"$work/tables"
	sed -n '/^\.Sh OPTIONS/,/^\.Sh FILES/p' "$yaml_page" | items Cm | sed 's/\\-/-/g' | sort >"$work/page"
	compare "$yaml_page" key "$work/tables" "$work/page"
}

# The words of an array of strings in C: $1 file, $2 its name.
words_of() {
	sed -n "/ $2\\[.*=/,/};/p" "$1" | grep -oE '"[a-z_-]+"' | tr -d '"' | sort -u
}

check_states() {
	page=docs/man/dvcertctl.1
	words_of daemon/status.c STATES >"$work/code"
	section $page STATES | items Cm | sort >"$work/page"
	compare $page state "$work/code" "$work/page"
	words_of daemon/core/job.c PHASES >"$work/code"
	section $page PHASES | items Cm | sort >"$work/page"
	compare $page phase "$work/code" "$work/page"
}

# What the sources of a program can end with: names of <sysexits.h> as numbers.
codes_of_source() {
	{
		echo 0
		names=$(grep -ohE '\bEX(IT)?_[A-Z_]+' "$@" | sort -u)
		for name in $names; do
			printf '#include <stdlib.h>\n#include <sysexits.h>\ncode %s\n' "$name"
		done | ${CC:-gcc} -E -P - | sed -n 's/^code \([0-9][0-9]*\)$/\1/p'
	} | sort -u
}

check_exit_codes() {
	page=docs/man/dvcertd.8
	codes_of_source daemon/main.c daemon/app.c >"$work/code"
	exit_codes_of_page $page >"$work/page"
	compare $page "exit code" "$work/code" "$work/page"

	page=docs/man/dvcertctl.1
	exit_codes_of_page $page >"$work/page"
	"$build/dvcertctl" --help | sed -n '/^Exit codes:/,$p' | grep -oE '\b[0-9]+\b' | sort -u >"$work/code"
	compare $page "exit code" "$work/code" "$work/page"
	grep -o 'exit codes 0 .*' README.md | grep -oE '\b[0-9]+\b' | sort -u >"$work/code"
	compare README.md "exit code" "$work/page" "$work/code"

	page=docs/man/dvcertd-helper.8
	codes_of_source daemon/helper/main.c >"$work/code"
	exit_codes_of_page $page >"$work/page"
	compare $page "exit code" "$work/code" "$work/page"

	page=docs/man/dvcert-sandbox.1
	printf '0\n1\n64\n' >"$work/code"
	exit_codes_of_page $page >"$work/page"
	compare $page "exit code" "$work/code" "$work/page"
}

# $1 wanted, then a command.
ends_with() {
	wanted=$1
	shift
	"$@" >/dev/null 2>&1
	code=$?
	[ "$code" -eq "$wanted" ] || say "$*: ended with $code, and the pages say $wanted"
}

check_real_exit_codes() {
	for program in dvcertd dvcertctl dvcertd-helper dvcert-sandbox; do
		ends_with 0 "$build/$program" --help
		ends_with 64 "$build/$program" --no-such-option
	done
	ends_with 78 "$build/dvcertd" --check -c "$work/absent"
	ends_with 69 "$build/dvcertctl" -s "$work/absent" status
	ends_with 1 "$build/dvcert-sandbox" --dir "$work/no/such/folder" --listen 127.0.0.1:0
}

# The configurations of the page are ones that the daemon takes. Each begins with a comment that says so.
check_examples() {
	mkdir -p "$work/examples" "$work/credentials"
	awk -v dir="$work/examples" '
		/^\.\\" lint: dvcertd --check/ { n++; part = /conf\.d/; next }
		/^\.Bd/ && n { file = sprintf("%s/%d.%s", dir, n, part ? "part" : "yaml"); next }
		/^\.Ed/ { file = "" }
		file { print > file }' "$yaml_page"
	grep -hoE '(api_key|passphrase)_file: [^ }]+' "$work"/examples/* | cut -d' ' -f2 | while read -r secret; do
		(umask 077 && echo not-a-secret >"$work/credentials/$secret")
	done
	grep -hoE 'tsig_key_file: [^ }]+' "$work"/examples/* | cut -d' ' -f2 | while read -r key; do
		(umask 077 && echo 'key lint { algorithm hmac-sha256; secret "bm90LWEtc2VjcmV0LWF0LWFsbA=="; };' \
			>"$work/credentials/$key")
	done
	for example in "$work"/examples/*; do
		mkdir -p "$work/etc/conf.d"
		case $example in
		*.part) cp "$example" "$work/etc/conf.d/part.yaml" ;;
		*) cp "$example" "$work/etc/dvcertd.yaml" ;;
		esac
		if ! CREDENTIALS_DIRECTORY=$work/credentials "$build/dvcertd" --check -c "$work/etc/dvcertd.yaml" 2>&1 \
			>/dev/null; then
			say "$yaml_page:1: this example is refused"
		fi
	done
	[ "$(find "$work/examples" -type f | wc -l)" -ge 2 ] || say "$yaml_page:1: no examples were found to check"
}

for needed in "$build/dvcertd" "$build/dvcertctl" "$build/dvcertd-helper" "$build/dvcert-sandbox" "$yaml_page"; do
	[ -e "$needed" ] || say "$needed: is missing, run make first"
done
if [ "$problems" -eq 0 ]; then
	for page in docs/man/*.[158] "$yaml_page"; do check_page "$page"; done
	check_options dvcertd docs/man/dvcertd.8
	check_options dvcertctl docs/man/dvcertctl.1
	check_options dvcertd-helper docs/man/dvcertd-helper.8
	check_options dvcert-sandbox docs/man/dvcert-sandbox.1
	check_verbs
	check_keys
	check_states
	check_exit_codes
	check_real_exit_codes
	check_examples
fi
echo "lint man: $files files, $problems problems"
[ "$problems" -eq 0 ] && [ "$files" -gt 0 ]
