# SPDX-License-Identifier: Apache-2.0
"""The style rules catch what they are for: violations planted in a small tree."""

import shutil

import pytest
import style

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HEADER = HEAD + "/* A type. */\n#pragma once\n\n/* Says what it does. */\nint job_step(int x);\nint job_back(int x);\n"
SOURCE = HEAD + '#include "daemon/core/job.h"\n\nint job_step(int x)\n{\n\treturn x;\n}\n'

pytestmark = pytest.mark.skipif(not shutil.which("pmccabe") or not shutil.which("ctags"), reason="tools are missing")


def plant(root, files):
    for name, text in {"daemon/core/job.h": HEADER, "daemon/core/job.c": SOURCE, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return style.check_tree(root)[0]


def function(lines, body="\tx++;\n", name="long_one"):
    return f"int {name}(int x)\n{{\n{body * (lines - 4)}\treturn x;\n}}\n"


def branches(n):
    return "int many(int x)\n{\n" + "".join(f"\tif (x == {i})\n\t\tx++;\n" for i in range(n)) + "\treturn x;\n}\n"


def test_clean_tree_has_no_problems(tmp_path):
    assert plant(tmp_path, {}) == []


@pytest.mark.parametrize(
    "path, text, said",
    [
        ("common/a.c", HEAD + function(101), "has 101 lines (100 at most)"),
        ("common/a.c", HEAD + function(61), "has 61 lines (only"),
        ("common/a.c", HEAD + branches(15), "complexity 16"),
        ("common/a.c", HEAD + "int x;\n" * 600, "601 lines"),
        ("common/a.c", "int x;\n", "SPDX"),
        ("common/a.h", HEAD + "/* A type. */\n\nint x;\n", "#pragma once"),
        ("common/a.c", HEAD + "void f(void)\n{\n\tgoto out;\nout:\n\treturn;\n}\n", "goto"),
        ("common/a.c", HEAD + "int  \tx;  \n", "blank at the end"),
        ("common/a.c", HEAD + "  \tint x;\n", "blank before a tab"),
        ("common/a.c", HEAD + "/* FIX" "ME later */\n", "do it"),
        ("common/a.h", HEAD + "/* A. */\n#pragma once\n\nint f(void);\n\nstatic int a;\n\nint g(void);\n", "g() has no comment"),
        ("tests/e2e/a.py", "import os\n", "no SPDX line"),
        ("tests/a.sh", "#!/bin/sh\necho\n", "no SPDX line"),
        ("tests/e2e/a.py", "# SPDX-License-Identifier: Apache-2.0\nif 1:\n\tpass\n", "tab in Python"),
    ],
    ids=lambda value: value if len(value) < 30 and "\n" not in value else "",
)
def test_planted_violation_is_caught(tmp_path, path, text, said):
    problems = plant(tmp_path, {path: text})
    assert problems and all(p.startswith(path + ":") for p in problems), problems
    assert said in problems[0]


def test_words_in_strings_do_not_count_as_code(tmp_path):
    text = HEAD + '/* no goto here */\nconst char *s = "goto \\" goto";\nchar c = \'"\';\n'
    assert plant(tmp_path, {"common/a.c": text}) == []


def test_exceptions_are_still_needed():
    """A file that is gone or was renamed must not keep its exception."""
    root = style.pathlib.Path(style.__file__).resolve().parents[2]
    for path, _rule in style.EXCEPTIONS:
        assert (root / path).exists(), f"{path} has an exception but does not exist"
