# SPDX-License-Identifier: Apache-2.0
"""What must be on the disk before the daemon starts again: judged on a tree of names, which may be a real folder or one of the states
that a crash could leave. The orders come from the CA's ledger."""

import functools
import json
import os
import posixpath

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from stage import Broken, need, pki

FOLDER, FILE, LINK = "folder", "file", "link"


def tree_of(folder):
    """{path: (FOLDER, None) | (FILE, bytes) | (LINK, target)}, "." for the folder itself."""
    tree = {".": (FOLDER, None)}
    for at, folders, files in os.walk(folder):
        for entry in folders + files:
            path = os.path.join(at, entry)
            rel = os.path.relpath(path, folder)
            if os.path.islink(path):
                tree[rel] = (LINK, os.readlink(path))
            elif os.path.isdir(path):
                tree[rel] = (FOLDER, None)
            else:
                with open(path, "rb") as f:
                    tree[rel] = (FILE, f.read())
    return tree


def text_at(tree, path):
    """None when there is no such file, or no way to it."""
    kind, content = tree.get(path, (None, None))
    up = posixpath.dirname(path)
    while kind == FILE and up:
        kind = FILE if tree.get(up, (None,))[0] == FOLDER else None
        up = posixpath.dirname(up)
    return content if kind == FILE else None


@functools.lru_cache(maxsize=4096)
def key_point(pem):
    """The public half of a key, None for what is not a key."""
    try:
        return pki.public_bytes(load_pem_private_key(pem, password=None).public_key())
    except ValueError:
        return None


@functools.lru_cache(maxsize=4096)
def csr_point(pem):
    return pki.public_bytes(x509.load_pem_x509_csr(pem).public_key())


@functools.lru_cache(maxsize=4096)
def chain_point(fullchain, root):
    """The public half of the first certificate of a chain that ends at the root; None for every other one."""
    try:
        blocks = pki.pem_blocks(fullchain.decode())
        if "".join(blocks) != fullchain.decode() or len(blocks) < 2:
            return None
        certs = [x509.load_pem_x509_certificate(b.encode()) for b in blocks] + [x509.load_pem_x509_certificate(root)]
        for cert, issuer in zip(certs, certs[1:]):
            issuer.public_key().verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))
    except Exception:  # what the library says about garbage has many types
        return None
    return pki.public_bytes(certs[0].public_key())


def judge_live(tree, name, root):
    """Absent, or a complete pair that verifies."""
    if f"live/{name}" not in tree:
        return
    kind, target = tree[f"live/{name}"]
    need(kind == LINK, f"live/{name} is no link")
    folder = posixpath.normpath(f"live/{target}")
    texts = {f: text_at(tree, f"{folder}/{f}") for f in pki.FILES}
    need(all(texts.values()), f"live/{name} leads to {sorted(f for f in texts if texts[f])} only")
    need(texts["fullchain.pem"] == texts["cert.pem"] + texts["chain.pem"], "fullchain.pem is another one")
    point = chain_point(texts["fullchain.pem"], root)
    need(point is not None, "the live chain does not verify")
    need(point == key_point(texts["privkey.pem"]), "live key and certificate do not match")


def record_at(tree, name, why):
    text = text_at(tree, f"state/{name}.json")
    need(text is not None, f"{why}, and there is no record")
    try:
        return json.loads(text)
    except ValueError:
        raise Broken(f"{why}, and the record cannot be read: {text[:80]!r}") from None


def judge_key(tree, name, job, what):
    generation = f"archive/{name}/{job['generation']:04}"
    keys = [text_at(tree, f"{generation}{end}/privkey.pem") for end in ("", ".new")]
    points = [key_point(k) for k in keys if k]
    need(csr_point(job["csr"].encode()) in points, f"the key of {what} is not there")


def judge_order(tree, name, reference, order_id):
    """The record knows what was posted, and the key for it is there."""
    rec = record_at(tree, name, f"order {order_id} was posted")
    job = rec.get("job")
    if job is None:
        need((rec.get("certificate") or {}).get("order_id") == order_id, f"the record does not know order {order_id}")
        return
    need(job["reference"] == reference and job["submitted_at"], f"the record does not say that {reference} was submitted: {job}")
    judge_key(tree, name, job, f"order {order_id}")


def judge_installed(tree, name, order_ids):
    """The record says of which order the installed certificate is."""
    rec = record_at(tree, name, "a certificate is installed")
    need((rec.get("certificate") or {}).get("order_id") in order_ids, f"the record has forgotten orders {order_ids}: {rec}")


def judge_reissue(tree, name, order_id):
    """The first reissue of this order was posted."""
    rec = record_at(tree, name, f"a reissue of {order_id} was posted")
    job = rec.get("job")
    if job is None:
        need(rec["certificate"]["generation"] == 2, f"the record does not know the reissue of {order_id}")
        return
    need(job["kind"] == "reissue" and job["submitted_at"], f"the record does not say that a reissue was submitted: {job}")
    judge_key(tree, name, job, f"the reissue of {order_id}")


def judge_revocation(tree, name, order_id):
    """It was asked for: it goes on, or it is known to be over."""
    rec = record_at(tree, name, f"{order_id} was to be revoked")
    cert = rec["certificate"]
    is_known = rec.get("revocation") or cert.get("revoked_at") or cert.get("order_over") or cert["order_id"] != order_id
    need(is_known, f"the record does not know that {order_id} was to be revoked: {rec}")


def judge_tree(tree, name, orders, root):
    """orders: pairs (reference, order id) that the CA had before the crash."""
    judge_live(tree, name, root)
    for reference, order_id in orders:
        judge_order(tree, name, reference, order_id)


def judge_disk(stage, state_dir, name):
    orders = [(o["alternative_order_id"], o["order_id"]) for o in stage.sandbox.orders(name)]
    judge_tree(tree_of(state_dir), name, orders, stage.sandbox.ca_file.read_bytes())
