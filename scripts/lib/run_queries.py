"""Called by scripts/check-monitoring.

run_queries.py dashboard URL FILE: every query of a dashboard must return series.
run_queries.py pending URL SECONDS ALERT...: each alert must be pending or firing before the time is over."""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def query(url, expr):
    address = url + "/api/v1/query?" + urllib.parse.urlencode({"query": expr})
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{expr}: {error.read().decode()}")


def expressions(path):
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def run_dashboard(url, path):
    count, empty = 0, []
    for title, expr in expressions(path):
        for variable, value in (("$__rate_interval", "20s"), ("$job", ".*"), ("$instance", ".*")):
            expr = expr.replace(variable, value)
        count += 1
        if not query(url, expr):
            empty.append(f"{title}: {expr}")
    print(f"{count} queries of the dashboard, {len(empty)} without series")
    if empty or count == 0:
        sys.exit("\n".join(empty))


def await_alerts(url, seconds, names):
    began = time.monotonic()
    waiting = set(names)
    while waiting:
        for name in sorted(waiting):
            found = query(url, f'ALERTS{{alertname="{name}"}}')
            if found:
                states = sorted({one["metric"]["alertstate"] for one in found})
                print(f"{name}: {len(found)} {'/'.join(states)} after {time.monotonic() - began:.1f} s")
                waiting.discard(name)
        if waiting and time.monotonic() - began > seconds:
            sys.exit(f"not even pending after {seconds} s: {', '.join(sorted(waiting))}")
        time.sleep(0.2)


if sys.argv[1] == "dashboard":
    run_dashboard(sys.argv[2], sys.argv[3])
else:
    await_alerts(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
