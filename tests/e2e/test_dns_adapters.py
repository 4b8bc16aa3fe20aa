# SPDX-License-Identifier: Apache-2.0
"""contrib/dns: what the adapters call, what they keep from happening, and what their ends mean.

acme.sh itself is not here. DOUBLE keeps what the adapter relies on: sourced without arguments it prints a help and returns,
with arguments it acts on them; the save functions write to ACCOUNT_CONF_PATH; a curl without an answer is told by _err."""

import base64
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

CONTRIB = pathlib.Path(__file__).resolve().parents[2] / "contrib/dns"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
NAME = "_dnsauth.example.jp."

DOUBLE = r"""#!/usr/bin/env sh
VER=3.1.4
PROJECT_NAME="acme.sh"
DEFAULT_INSTALL_HOME="$HOME/.$PROJECT_NAME"
_SCRIPT_="$0"
_startswith() { echo "$1" | grep -- "^$2" >/dev/null 2>&1; }
_contains() { echo "$1" | grep -- "$2" >/dev/null 2>&1; }
_info() { printf -- "%s\n" "$1"; }
_debug() { [ -z "$DEBUG" ] || printf -- "debug %s='%s'\n" "$1" "$2" >&2; }
_err() {
  printf -- "%s" "[$(date)] " >&2
  printf '\33[1;31m%b\33[0m' "$1" >&2
  printf "\n" >&2
  return 1
}
_save_conf() {
  if [ "$1" ]; then echo "$2='$3'" >>"$1"; else _err "Config file is empty, cannot save $2=$3"; fi
}
_clear_conf() { _conf_data="$(cat "$1")"; echo "$_conf_data" | sed "/^$2 *=.*$/d" >"$1"; }
_read_conf() {
  if [ -f "$1" ]; then
    _sdv="$(eval "$(grep "^$2 *=" "$1")"; eval "printf \"%s\" \"\$$2\"")"
    printf "%s" "$_sdv"
  else
    _debug "Config file is empty, cannot read $2"
  fi
}
_savedomainconf() { _save_conf "$DOMAIN_CONF" "$@"; }
_cleardomainconf() { _clear_conf "$DOMAIN_CONF" "$1"; }
_readdomainconf() { _read_conf "$DOMAIN_CONF" "$1"; }
_saveaccountconf() { _save_conf "$ACCOUNT_CONF_PATH" "$@"; }
_saveaccountconf_mutable() { _save_conf "$ACCOUNT_CONF_PATH" "SAVED_$1" "$2" "$3"; _clearaccountconf "$1"; }
_readaccountconf() { _read_conf "$ACCOUNT_CONF_PATH" "$1"; }
_readaccountconf_mutable() { _rac_key="$1"; _readaccountconf "SAVED_$_rac_key"; }
_clearaccountconf() { _clear_conf "$ACCOUNT_CONF_PATH" "$1"; }
_clearaccountconf_mutable() { _clearaccountconf "SAVED_$1"; _clearaccountconf "$1"; }
_get() {
  if ! curl -sS "$1" 2>/dev/null; then
    _ret=7
    _err "Please refer to https://curl.haxx.se/libcurl/c/libcurl-errors.html for error code: $_ret"
  fi
  return $_ret
}
issue() { echo "issue" >>"$DOUBLE_LOG"; }
_process() { echo "process $*" >>"$DOUBLE_LOG"; }
showhelp() { echo "HELP $PROJECT_NAME"; }
main() {
  [ -z "$1" ] && showhelp && return
  if _startswith "$1" '-'; then _process "$@"; else "$@"; fi
}
main "$@"
"""

# A script as they are written: takes what was saved, saves what it was given, uses helpers, has names that could be ours.
GOOD = r"""
dns_good_info='Good provider'
dns_good_add() {
  fulldomain=$1
  txtvalue=$2
  GOOD_Token="${GOOD_Token:-$(_readaccountconf_mutable GOOD_Token)}"
  if [ -z "$GOOD_Token" ]; then _err "no token"; return 1; fi
  _saveaccountconf_mutable GOOD_Token "$GOOD_Token"
  _saveaccountconf GOOD_Id 7
  _clearaccountconf_mutable GOOD_Old
  _savedomainconf GOOD_Record 9
  _debug token "$GOOD_Token"
  work=/ script=x value=y api=z result=1 action=rm
  _info "added $fulldomain"
  printf '%s\n' "add $fulldomain $txtvalue $GOOD_Token $#" "home $HOME $LE_WORKING_DIR $(ls -A "$LE_WORKING_DIR" | tr '\n' ' ')" \
    "conf [$(cat "$ACCOUNT_CONF_PATH" "$DOMAIN_CONF")]" >>"$DOUBLE_LOG"
  echo used >"$HOME/left-behind"
}
dns_good_rm() {
  fulldomain=$1
  txtvalue=$2
  echo "rm $fulldomain $txtvalue" >>"$DOUBLE_LOG"
}
"""

ENDS = r"""
dns_ends_add() {
  echo "$2" >/dev/null
  case $2 in
  refused) _err "invalid domain"; return 1 ;;
  exits) exit 3 ;;
  offline) response="$(_get http://127.0.0.1:1/)" || return 1 ;;
  esac
}
dns_ends_rm() { echo "$1 $2" >/dev/null; return 4; }
"""


class Adapter:
    """contrib/dns/acme-dnsapi with a folder that looks like acme.sh's, below one shell."""

    def __init__(self, folder, shell):
        self.shell = [shell, "sh"] if shell == "busybox" else [shell]
        self.log = folder / "log"
        self.tmp = folder / "tmp"
        self.home = folder / "acme.sh"
        self.credentials = folder / "credentials"
        for d in (self.tmp, self.home, self.home / "dnsapi", self.credentials):
            d.mkdir(mode=0o755)
        self.write(self.home / "acme.sh", DOUBLE)
        self.script("dns_good", GOOD)
        self.script("dns_ends", ENDS)

    @staticmethod
    def write(path, text, mode=0o644):
        path.write_text(text)
        path.chmod(mode)
        return path

    def script(self, name, text):
        return self.write(self.home / "dnsapi" / f"{name}.sh", text)

    def careless(self, name):
        self.script(name, f'{name}_add() {{ echo "add $1 $2" >>"$DOUBLE_LOG"; }}\n'
                          f'{name}_rm() {{\n  echo "rm $1" >>"$DOUBLE_LOG"\n}}\n')  # fmt: skip

    def secrets(self, text="GOOD_Token=s3cret\n", name="dns_good.env", mode=0o600):
        return self.write(self.credentials / name, text, mode)

    def run(self, *args, options=(), env=()):
        env = {"PATH": SYSTEM_PATH, "TMPDIR": str(self.tmp), "CREDENTIALS_DIRECTORY": str(self.credentials),
               "DOUBLE_LOG": str(self.log), **dict(env)}  # fmt: skip
        command = [*self.shell, str(CONTRIB / "acme-dnsapi"), "-a", str(self.home), *options, *args]
        done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        assert list(self.tmp.iterdir()) == []
        return done

    def calls(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture(params=SHELLS)
def adapter(request, tmp_path):
    return Adapter(tmp_path, request.param)


def test_present_and_cleanup(adapter):
    adapter.secrets()
    before = sorted(p.relative_to(adapter.home) for p in adapter.home.rglob("*"))
    done = adapter.run("dns_good", "present", NAME, "tok_en-1=")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "added _dnsauth.example.jp\n")
    add, home, conf = adapter.calls()
    assert add == "add _dnsauth.example.jp tok_en-1= s3cret 2"
    # A folder of its own, in which nothing is saved; and it is gone (run() looks).
    _, where, working, *files = home.split()
    assert where == working and pathlib.Path(where).parent == adapter.tmp
    assert sorted(files) == ["account.conf", "domain.conf"]
    assert conf == "conf []"
    assert adapter.run("dns_good", "cleanup", NAME, "tok").returncode == 0
    assert adapter.calls() == ["rm _dnsauth.example.jp tok"]
    # The value is used: any name will do. Without the final dot, too.
    assert adapter.run("dns_good", "cleanup", "example.jp", "tok").returncode == 0
    assert adapter.calls() == ["rm example.jp tok"]
    assert sorted(p.relative_to(adapter.home) for p in adapter.home.rglob("*")) == before


def test_exit_codes(adapter):
    assert adapter.run("dns_ends", "present", NAME, "tok").returncode == 0
    done = adapter.run("dns_ends", "present", NAME, "refused")
    assert done.returncode == 1
    assert done.stderr == "invalid domain\nacme-dnsapi: dns_ends_add failed (1)\n"  # no colours, no dates
    assert adapter.run("dns_ends", "present", NAME, "exits").returncode == 1
    assert adapter.run("dns_ends", "cleanup", NAME, "tok").returncode == 1
    done = adapter.run("dns_ends", "present", NAME, "offline")
    assert done.returncode == 75
    assert "could not be reached" in done.stderr


@pytest.mark.parametrize("api", ["dns_nsupdate", "dns_aws", "dns_linode_v4", "dns_newcomer"])
def test_careless_rm(adapter, api):
    """dns_newcomer is on no list: it is found because it does not take the value."""
    adapter.careless(api)
    done = adapter.run(api, "cleanup", "example.jp.", "tok")
    assert done.returncode == 1
    assert "deletes all TXT records of example.jp" in done.stderr
    assert adapter.run(api, "cleanup", "x_dnsauth.example.jp.", "tok").returncode == 1
    assert adapter.calls() == []
    assert adapter.run(api, "cleanup", NAME, "tok").returncode == 0
    assert adapter.run(api, "present", "example.jp.", "tok").returncode == 0
    assert adapter.calls() == ["rm _dnsauth.example.jp", "add example.jp tok"]


@pytest.mark.parametrize("api", ["dns_exoscale", "dns_arvan"])
def test_fixed_label(adapter, api):
    adapter.careless(api)
    for verb in ("present", "cleanup"):
        done = adapter.run(api, verb, NAME, "tok")
        assert done.returncode == 1
        assert "_acme-challenge whatever name" in done.stderr
    assert adapter.calls() == []


@pytest.mark.parametrize(
    "args",
    [
        ("../evil", "present", NAME, "tok"),
        ("dns_../../evil", "present", NAME, "tok"),
        ("dns_good;id", "present", NAME, "tok"),
        ("dns_", "present", NAME, "tok"),
        ("good", "present", NAME, "tok"),
        ("dns_good", "destroy", NAME, "tok"),
        ("dns_good", "present", "a b.example.jp.", "tok"),
        ("dns_good", "present", "$(touch x).jp.", "tok"),
        ("dns_good", "present", "", "tok"),
        ("dns_good", "present", NAME, 'tok"\nsend'),
        ("dns_good", "present", NAME, "tok\n"),
        ("dns_good", "present", NAME, "`id`"),
        ("dns_good", "present", NAME, ""),
        ("dns_good", "present", NAME),
        ("dns_good", "present", NAME, "tok", "more"),
        ("dns_missing", "present", NAME, "tok"),
    ],
)
def test_refused_arguments(adapter, args):
    adapter.secrets()
    done = adapter.run(*args)
    assert done.returncode == 1
    assert done.stderr.startswith("acme-dnsapi: ")
    assert adapter.calls() == []


def test_script_without_function(adapter):
    adapter.script("dns_empty", "dns_other_add() { :; }\n")
    done = adapter.run("dns_empty", "present", NAME, "tok")
    assert done.returncode == 1
    assert "has no function dns_empty_add" in done.stderr


def test_variables(adapter, tmp_path):
    victim = tmp_path / "victim"
    text = f"""# secrets
  export GOOD_Token='a$(touch {victim})`id`"b'
DEBUG=2
LE_WORKING_DIR={tmp_path}/elsewhere
ACCOUNT_CONF_PATH={tmp_path}/elsewhere/account.conf"""
    adapter.secrets(text)
    done = adapter.run("dns_good", "present", NAME, "tok")
    assert (done.returncode, done.stderr) == (0, "")
    assert adapter.calls()[0] == f'add _dnsauth.example.jp tok a$(touch {victim})`id`"b 2'
    assert not victim.exists() and not (tmp_path / "elsewhere").exists()
    # Another file: by its name among the credentials, or by its whole path.
    other = adapter.secrets('GOOD_Token="two words"\n', name="other")
    for name in ("other", str(other)):
        assert adapter.run("dns_good", "present", NAME, "tok", options=("-e", name)).returncode == 0
        assert adapter.calls()[0] == "add _dnsauth.example.jp tok two words 2"


def test_variables_refused(adapter):
    for text, mode, said in (
        ("GOOD_Token=x\n", 0o644, "read by everybody"),
        ("GOOD_Token=x\n", 0o620, "written by others"),
        ("touch x\n", 0o600, "not NAME=value"),
        ("A-B=x\n", 0o600, "not NAME=value"),
    ):
        adapter.secrets(text, mode=mode)
        done = adapter.run("dns_good", "present", NAME, "tok")
        assert done.returncode == 1
        assert said in done.stderr
    assert adapter.run("dns_good", "present", NAME, "tok", options=("-e", "missing")).returncode == 1
    done = adapter.run("dns_good", "present", NAME, "tok", options=("-e", "x"), env={"CREDENTIALS_DIRECTORY": ""})
    assert done.returncode == 1
    assert adapter.calls() == []


@pytest.mark.parametrize("file", ["acme.sh", "dnsapi/dns_good.sh"])
def test_code_of_others_is_refused(adapter, file):
    adapter.secrets()
    path = adapter.home / file
    for mode in (0o664, 0o646):
        path.chmod(mode)
        assert "written by others" in adapter.run("dns_good", "present", NAME, "tok").stderr
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
        assert "belongs to somebody else" in adapter.run("dns_good", "present", NAME, "tok").stderr
    path.unlink()
    assert adapter.run("dns_good", "present", NAME, "tok").returncode == 1
    assert adapter.calls() == []


# --- lego-httpreq ---


class Service(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, json.loads(body), self.headers["Content-Type"], self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()
        self.wfile.write(b"zone is locked\n")

    def log_message(self, *_args):
        pass


@pytest.fixture
def service():
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    with Service() as s:
        thread = threading.Thread(target=s.serve_forever)
        thread.start()
        yield s
        s.shutdown()
        thread.join()


def httpreq(tmp_path, *args, env=()):
    env = {"PATH": SYSTEM_PATH, "TMPDIR": str(tmp_path), **dict(env)}
    command = [str(CONTRIB / "lego-httpreq"), *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert list(tmp_path.glob("lego-httpreq*")) == []
    return done


def test_httpreq(service, tmp_path):
    done = httpreq(tmp_path, "-u", service.url + "/api/", "present", NAME, 'a"b\\c $(id)')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert httpreq(tmp_path, "cleanup", NAME, "tok", env={"HTTPREQ_ENDPOINT": service.url}).returncode == 0
    assert service.seen == [
        ("/api/present", {"fqdn": NAME, "value": 'a"b\\c $(id)'}, "application/json", None),
        ("/cleanup", {"fqdn": NAME, "value": "tok"}, "application/json", None),
    ]


def test_httpreq_password(service, tmp_path):
    file = tmp_path / "httpreq.env"
    file.write_text(f"HTTPREQ_ENDPOINT={service.url}\nHTTPREQ_USERNAME=me\nHTTPREQ_PASSWORD='p\"\\w:$(id)'\n")
    file.chmod(0o600)
    want = "Basic " + base64.b64encode(b'me:p"\\w:$(id)').decode()
    for args in (("-e", str(file)), ("-e", "httpreq.env"), ()):
        assert httpreq(tmp_path, *args, "present", NAME, "t", env={"CREDENTIALS_DIRECTORY": str(tmp_path)}).returncode == 0
        assert service.seen.pop()[3] == want
    file.chmod(0o644)
    assert httpreq(tmp_path, "-e", str(file), "present", NAME, "t").returncode == 1
    assert service.seen == []


@pytest.mark.parametrize("status, code", [(204, 0), (302, 1), (400, 1), (401, 1), (404, 1), (429, 75), (500, 75), (503, 75)])
def test_httpreq_answers(service, tmp_path, status, code):
    service.status = status
    done = httpreq(tmp_path, "-u", service.url, "present", NAME, "tok")
    assert done.returncode == code
    assert [path for path, *_ in service.seen] == ["/present"]  # no redirect is followed
    if code and status != 204:
        assert f"answered {status}: zone is locked" in done.stderr


def test_httpreq_refused(service, tmp_path):
    assert httpreq(tmp_path, "-u", "http://127.0.0.1:1", "present", NAME, "tok").returncode == 75
    for args in (
        ("present", NAME, "tok"),
        ("-u", "file:///etc/passwd", "present", NAME, "tok"),
        ("-u", service.url, "destroy", NAME, "tok"),
        ("-u", service.url, "present", NAME, "to\nk"),
        ("-u", service.url, "present", NAME),
    ):
        done = httpreq(tmp_path, *args)
        assert done.returncode == 1
        assert done.stderr.startswith("lego-httpreq: ")
    assert service.seen == []
