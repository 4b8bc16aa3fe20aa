# SPDX-License-Identifier: Apache-2.0
"""The include rules catch what they are for: violations planted in a small tree."""

import layers
import pytest

CLEAN = {
    "common/base.h": "#include <stdint.h>\n",
    "common/log.h": '#include "common/base.h"\n',
    "common/clock.h": '#include "common/base.h"\n',
    "common/json.h": '#include "common/base.h"\n',
    "common/json.c": '#include "common/json.h"\n#include <json-c/json.h>\n',
    "config/model.h": '#include "common/log.h"\n',
    "config/load.h": '#include "config/model.h"\n',
    "config/yaml.c": '#include <yaml.h>\n#include "config/load.h"\n',
    "daemon/core/job.h": '#include "config/model.h"\n',
    "daemon/core/job.c": '#include "daemon/core/job.h"\n#include "common/json.h"\n',
    "daemon/io/loop.h": '#include "common/base.h"\n',
    "daemon/io/loop.c": '#include "daemon/io/loop.h"\n#include <uv.h>\n',
    "daemon/pki/key.h": '#include "common/base.h"\n',
    "daemon/dcv/webroot.h": '#include "daemon/io/loop.h"\n',
    "daemon/store/store.h": '#include "common/base.h"\n',
    "daemon/app.c": '#include "daemon/dcv/webroot.h"\n#include "daemon/store/store.h"\n',
    "daemon/ctl/main.c": '#include "config/load.h"\n#include "common/json.h"\n',
    "tests/unit/test_job.c": '#include "daemon/core/job.h"\n#include <openssl/x509.h>\n#include <cmocka.h>\n',
    "tests/sandbox/ca.h": '#include "common/json.h"\n',
    "tests/sandbox/ca.c": '#include "tests/sandbox/ca.h"\n#include <microhttpd.h>\n',
}


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return layers.check_tree(root)[0]


def test_clean_tree_has_no_problems(tmp_path):
    assert plant(tmp_path, CLEAN) == []


@pytest.mark.parametrize(
    "path, text, said",
    [
        ("common/bad.c", '#include "config/model.h"\n', "is above common"),
        ("config/bad.c", '#include "daemon/core/job.h"\n', "is above config"),
        ("daemon/core/bad.c", '#include "daemon/io/loop.h"\n', "daemon/core may include only"),
        ("daemon/core/bad.c", '#include "config/load.h"\n', "daemon/core may include only"),
        ("daemon/core/bad.c", '#include "common/clock.h"\n', "is not for daemon/core"),
        ("daemon/core/bad.c", '#include "common/log.h"\n', "is not for daemon/core"),
        ("daemon/core/bad.c", "#include <uv.h>\n", "belongs to daemon/io/"),
        ("daemon/io/bad.c", '#include "daemon/pki/key.h"\n', "neighbours"),
        ("daemon/pki/bad.c", '#include "daemon/io/loop.h"\n', "neighbours"),
        ("daemon/store/bad.c", '#include "daemon/dcv/webroot.h"\n', "neighbours"),
        ("daemon/io/bad.c", '#include "daemon/dcv/webroot.h"\n', "is above daemon/io"),
        ("daemon/bad.c", '#include "daemon/ctl/render.h"\n', "neighbours"),
        ("daemon/ctl/bad.c", '#include "daemon/core/job.h"\n', "daemon/ctl may include only"),
        ("daemon/ctl/bad.c", '#include "config/model.h"\n', "daemon/ctl may include only"),
        ("daemon/new/bad.c", '#include "common/base.h"\n', "no layer"),
        ("config/bad.c", "#include <json-c/json.h>\n", "belongs to common/json.c"),
        ("config/other.c", "#include <yaml.h>\n", "belongs to config/yaml.c"),
        ("daemon/dcv/bad.c", "#include <libpsl.h>\n", "belongs to daemon/dcv/redirect.c"),
        ("daemon/deploy/bad.c", "#include <openssl/pem.h>\n", "belongs to daemon/pki/"),
        ("daemon/app.c", "#include <systemd/sd-daemon.h>\n", "belongs to daemon/ops/notify.c"),
        ("daemon/app.c", "#include <ares.h>\n", "belongs to daemon/io/dns.c"),
        ("daemon/app.c", "#include <sqlite3.h>\n", "no owner"),
        ("daemon/app.c", '#include "app.h"\n', "does not exist"),
        ("daemon/app.c", '#include "daemon/core/job.c"\n', "not a header"),
        ("daemon/app.c", '#include "tests/sandbox/ca.h"\n', "may not include its tests"),
        ("tests/sandbox/bad.c", '#include "daemon/pki/key.h"\n', "tests/sandbox may include only"),
        ("daemon/core/job.c", '#include <errno.h>\n#include "daemon/core/job.h"\n', "first include must be"),
        ("daemon/app.c", '  #  include "daemon/none.h"\n', "does not exist"),
    ],
)
def test_planted_violation_is_caught(tmp_path, path, text, said):
    problems = plant(tmp_path, {**CLEAN, "daemon/ctl/render.h": "", path: text})
    assert len(problems) == 1, problems
    assert problems[0].startswith(path + ":") and said in problems[0]


def test_private_header_may_stand_first(tmp_path):
    files = {
        **CLEAN,
        "daemon/core/job_priv.h": '#include "daemon/core/job.h"\n',
        "daemon/core/job.c": '#include "daemon/core/job_priv.h"\n',
    }
    assert plant(tmp_path, files) == []


def test_cycle_is_caught(tmp_path):
    problems = plant(
        tmp_path,
        {
            **CLEAN,
            "common/a.h": '#include "common/b.h"\n',
            "common/b.h": '#include "common/c.h"\n',
            "common/c.h": '#include "common/a.h"\n',
        },
    )
    assert len(problems) == 1 and "include cycle" in problems[0]
    assert all(h in problems[0] for h in ("common/a.h", "common/b.h", "common/c.h"))
