"""Live data as a run answers it, for tests that need none."""


def row(call_id="c-1", **changes):
    return {
        "flow": f"20261224T181500-{call_id}",
        "call_id": call_id,
        "worker": 1,
        "age_s": 61.2,
        "state": "running",
        "paused": False,
        "muted": [],
        "on_hold": False,
        "parties": ["agent", "customer"],
        "levels": {"agent": -23.4, "customer": None},
        "lost_ms": 0,
        "lost_recent_ms": 0,
        "lost": {},
        "queue_ms": 0,
        "worst_queue": {"node": "wav", "ms": 0, "limit_ms": 5000, "fullness": 0.0},
        "latency_ms": 12.3,
        "delay_ms": 41,
        "failed": [],
        "version": "1-aa",
        **changes,
    }


def page(*calls, processes=1, **run):
    figures = {"graph": "graphs/record.yaml", "version": "1-aa", "draining": False, "calls": len(calls), "limit": 2000}
    counts = {"started": 9, "failed": 0, "refused": 0, "lost_ms": 0, "versions": {"1-aa": len(calls)}}
    process = {"pid": 1, "calls": len(calls), "not_ready": "", "cpu": 0.25}
    return {
        "run": figures | counts | run,
        "processes": [{**process, "worker": number, "pid": number} for number in range(1, processes + 1)],
        "missing": [],
        "matched": len(calls),
        "calls": list(calls),
        "events": [],
    }
