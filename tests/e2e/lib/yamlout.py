# SPDX-License-Identifier: Apache-2.0
"""Dictionaries to YAML as a person would write it: blocks, and quotes round strings only where they are needed."""

import json
import re

PLAIN = re.compile(r"^[A-Za-z/_][A-Za-z0-9/_.+-]*$")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
NUMBER = re.compile(r"^[0-9]+(s|m|h|d)$")


def scalar(value):
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if (PLAIN.match(text) and text.lower() not in WORDS) or NUMBER.match(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def lines(value, indent):
    pad = "  " * indent
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                yield f"{pad}{key}:"
                yield from lines(item, indent + 1)
            else:
                yield f"{pad}{key}: {flow(item)}"
        return
    for item in value:
        if isinstance(item, dict) and item:
            block = list(lines(item, indent + 1))
            yield f"{pad}- {block[0].lstrip()}"
            yield from block[1:]
        else:
            yield f"{pad}- {flow(item)}"


def flow(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def dump(value):
    return "\n".join(lines(value, 0)) + "\n"
