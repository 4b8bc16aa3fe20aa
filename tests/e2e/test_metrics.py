# SPDX-License-Identifier: Apache-2.0
"""What a monitoring system reads is true, well-formed, without secrets, and cannot be used to hurt the daemon."""

import calendar
import os
import socket
import time

import pytest
from lib import base, scrape

NAME = "www.example.jp"


def epoch(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def simple(world, *names, **metrics):
    where = f"127.0.0.1:{world.ports.take()}"
    return world.simple(*names, metrics={"listen": where, **metrics}), where


def test_the_figures_are_those_of_status(world):
    d, where = simple(world, NAME)
    d.start()
    (status,) = d.wait(NAME)
    daemon = d.status()["daemon"]
    samples = scrape.scrape(where)

    def of(metric, /, **labels):
        return scrape.value(samples, metric, **labels)

    assert of("dvcertd_certificate_not_after_timestamp_seconds", name=NAME) == epoch(status["not_after"])
    assert of("dvcertd_certificate_not_before_timestamp_seconds", name=NAME) == epoch(status["not_before"])
    assert of("dvcertd_order_valid_until_timestamp_seconds", name=NAME) == epoch(status["order_valid_until"])
    action, at = status["next"]["action"], epoch(status["next"]["at"])
    assert of("dvcertd_domain_next_action_timestamp_seconds", name=NAME, action=action) == at
    assert epoch(status["not_before"]) < of("dvcertd_certificate_renewal_timestamp_seconds", name=NAME) < epoch(status["not_after"])
    states = {k[1]: v for k, v in samples.items() if k[0] == "dvcertd_domain_state"}
    assert [dict(k)["state"] for k, v in states.items() if v == 1] == ["valid"] and len(states) == 6
    assert of("dvcertd_deploy_undone", name=NAME) == 0
    assert of("dvcertd_domains") == 1
    assert of("dvcertd_start_timestamp_seconds") == epoch(daemon["started_at"])
    assert of("dvcertd_config_load_timestamp_seconds") == epoch(daemon["config_loaded_at"])
    assert of("dvcertd_orders_placed_total") == of("dvcertd_orders_last_day") == 1
    assert of("dvcertd_api_key_accepted") == of("dvcertd_config_load_success") == 1
    assert of("dvcertd_build_info", version=daemon["version"]) == 1
    assert of("dvcertd_scutum_requests_total", code="200") == 1
    assert of("dvcertd_stuck_domains") == of("dvcertd_stuck_total") == 0
    assert of("dvcertd_loop_busy_max_seconds") < 5
    assert not [k for k in samples if k[0] == "dvcertd_domain_error_info"]


def test_requests_are_counted_as_the_ca_counts_them(world):
    d, where = simple(world, NAME)
    d.start()
    d.wait(NAME)
    counts, samples = world.sandbox.counts(), scrape.scrape(where)
    for label, endpoint in (("order", "order.submit"), ("download", "certificate.download"), ("check", "dcv.check"),
                            ("info", "order.info")):  # fmt: skip
        ours = sum(v for k, v in samples.items() if k[0] == "dvcertd_api_requests_total" and dict(k[1])["endpoint"] == endpoint)
        assert ours == counts[label], (label, counts)
    assert scrape.value(samples, "dvcertd_api_requests_total", endpoint="order.submit", code="201") == 1
    left = scrape.value(samples, "dvcertd_api_window_left", window="180s")
    assert 0 < left < scrape.value(samples, "dvcertd_api_window_requests", window="180s")


def test_both_formats_are_clean(world):
    d, where = simple(world, NAME)
    d.start()
    d.wait(NAME)
    status, kind, plain = scrape.get(where)
    assert status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8"
    status, kind, text = scrape.get(where, accept=scrape.OPEN)
    assert status == 200 and kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("\n# EOF\n") and "# EOF" not in plain
    judged = [scrape.lint(plain), scrape.parse_open(text)]
    if judged[0] is not None:
        assert judged[0] == (0, ""), judged[0]
    if judged[1] is not None:
        assert judged[1]["dvcertd_api_requests"].type == "counter" and judged[1]["dvcertd_build"].type == "info"
    if judged == [None, None]:
        pytest.skip("neither promtool nor python3-prometheus-client is installed")


def test_only_get_of_metrics_and_no_secrets(world):
    d, where = simple(world, NAME)
    d.start()
    d.wait(NAME)
    assert scrape.get(where, "/")[0] == scrape.get(where, "/metrics/../status")[0] == 404
    for method in ("POST", "PUT", "DELETE"):
        assert scrape.get(where, method=method)[0] == 405
    assert scrape.get(where, method="HEAD")[::2] == (200, "")
    text = scrape.get(where)[2]
    for secret in d.dir.glob("*-key"):
        assert secret.read_text().strip() not in text
    assert "PRIVATE" not in text


def test_unix_socket(world):
    where = f"unix:{world.dir}/m.sock"
    d = world.simple(NAME, metrics={"listen": where}).start()
    d.wait(NAME)
    assert scrape.value(scrape.scrape(where), "dvcertd_domains") == 1
    d.kill9()
    d.start()  # over the socket that was left behind
    assert scrape.value(scrape.scrape(where), "dvcertd_domains") == 1
    d.stop()
    assert not os.path.exists(where[5:])


def test_a_socket_that_is_taken_does_not_keep_certificates_from_being_renewed(world):
    d, where = simple(world, NAME)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(where.rsplit(":", 1)[1])))
        other.listen()
        d.start()
        d.wait(NAME)
    assert "there will be no metrics to read" in d.log() and where in d.log()
    d.stop()


def test_what_a_reload_did(world):
    d, where = simple(world, NAME)
    d.start()
    loaded = scrape.value(scrape.scrape(where), "dvcertd_config_load_timestamp_seconds")
    good = d.config_path.read_text()
    d.write_config("nonsense: true\n")
    d.reload()
    base.until(lambda: scrape.value(scrape.scrape(where), "dvcertd_config_load_success") == 0, why="the refusal is shown")
    assert scrape.value(scrape.scrape(where), "dvcertd_config_load_timestamp_seconds") == loaded
    d.write_config(good)
    d.reload()
    base.until(lambda: scrape.value(scrape.scrape(where), "dvcertd_config_load_success") == 1, why="the success is shown")


def test_refused_key(world):
    d, where = simple(world, NAME)
    d.write_secret("cc-key", "not-the-key")
    d.start()
    d.wait(NAME, state="failed")
    samples = base.until(lambda: (s := scrape.scrape(where)) and scrape.value(s, "dvcertd_api_key_accepted") == 0 and s)
    assert scrape.value(samples, "dvcertd_domain_state", name=NAME, state="failed") == 1
    assert any(dict(k[1])["code"] in ("401", "403") for k in samples if k[0] == "dvcertd_api_requests_total")
    (error,) = [dict(k[1]) for k in samples if k[0] == "dvcertd_domain_error_info"]
    assert error["name"] == NAME and error["code"] == d.status(NAME)["error"]["code"]


def test_textfile(world):
    folder = world.dir / "prom"
    folder.mkdir()
    path = folder / "dvcertd.prom"
    d = world.simple(NAME, metrics={"textfile": str(path)}).start()
    base.until(path.exists, why="the file is written at the start")
    d.wait(NAME)

    def is_valid():
        return scrape.value(scrape.parse(path.read_text()), "dvcertd_domain_state", name=NAME, state="valid") == 1

    base.until(is_valid, 25, why="the file follows")
    assert path.stat().st_mode & 0o7777 == 0o644
    text = path.read_text()
    assert abs(scrape.value(scrape.parse(text), "dvcertd_textfile_timestamp_seconds") - path.stat().st_mtime) < 5
    if scrape.lint(text) is not None:
        assert scrape.lint(text) == (0, "")
    d.stop()
    assert os.listdir(folder) == ["dvcertd.prom"]


def test_a_textfile_that_cannot_be_written_is_told_once(world):
    d = world.simple(NAME, metrics={"textfile": f"{world.dir}/none/dvcertd.prom"}).start()
    d.wait(NAME)
    base.until(lambda: "cannot be written to" in d.log(), why="it is told")
    assert d.log().count("the metrics cannot be written to") == 1
    d.stop()


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_a_thousand_slow_clients(world):
    """Half of them send one byte and wait, the others ask and never read. Meanwhile a certificate is issued, dvcertctl is
    answered, and whoever asks for the metrics like a decent client gets them."""
    d, where = simple(world, NAME)
    d.start()
    port = int(where.rsplit(":", 1)[1])
    before = rss_kib(d.proc.pid)
    clients = []
    try:
        for i in range(1000):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.settimeout(10)
            s.connect(("127.0.0.1", port))
            s.sendall(b"G" if i % 2 else b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(s)
        samples = scrape.scrape(where)
        began = time.monotonic()
        d.status()
        assert time.monotonic() - began < 2 * base.PATIENCE
        d.wait(NAME)
        base.until(  # clients that ask within a second share one text
            lambda: scrape.value(scrape.scrape(where), "dvcertd_domain_state", name=NAME, state="valid") == 1, why="valid in the metrics"
        )
        samples = scrape.scrape(where)
        assert scrape.value(samples, "dvcertd_loop_busy_max_seconds") < 2 * base.PATIENCE
        assert rss_kib(d.proc.pid) - before < 16 * 1024 * base.PATIENCE
    finally:
        for s in clients:
            s.close()
    d.stop()
