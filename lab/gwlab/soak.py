"""soak: the lab judged by itself: N boots in a row under load, with public code as the back-end."""

import collections
import json
import pathlib
import shutil

from . import paths, product, session


def cause_of(outcome):
    """What crashed: "L1 panic", "L1 gone", "L2 gone" and so on, or None when nothing did."""
    if outcome["result"] == "crashed":
        return "L1 panic" if "panic" in outcome["cause"] or "Oops" in outcome["cause"] else "L1 gone"
    reasons = " ".join(verdict["reason"] for verdict in outcome["verdicts"])
    if any(verdict.get("emulation") for verdict in outcome["verdicts"]):
        return "L2 destroyed by the emulation"
    if "QEMU closed the connection" in reasons:
        return "L2 gone"
    return "L2 silent" if "the guest did not answer" in reasons else None


def boot_record(outcome):
    """One boot as the report holds it."""
    verdict = outcome["verdicts"][0] if outcome["verdicts"] else {"data": {}, "reason": ""}
    data = verdict["data"]
    run = data.get("run", {})
    crashed = cause_of(outcome)
    frames = {way: {"sent": part["sent"], "lost": part["lost"], "lost_outside_blackout": part["lost_outside_blackout"],
                    "corrupt": part["corrupt"]} for way, part in run.get("frames", {}).items()}
    return {"result": "crashed" if crashed else outcome["result"], "crashed": crashed,
            "reason": outcome["cause"] or verdict["reason"], "boot_s": outcome["boot_s"], "boot_hangs": outcome["boot_hangs"],
            "emulation_faults": verdict.get("emulation_faults", 0),
            "wall_s": outcome["wall_s"], "l1_accel": outcome["accel"], "l2_accel": data.get("accel"),
            "l2_boot_s": data.get("l2_boot_s"), "downtime_ms": run.get("downtime_ms"),
            "stop_resume_ms": run.get("stop_resume_ms"), "blackout_ms": run.get("blackout_ms"),
            "frames": frames, "dmar_faults": data.get("dmar_faults")}


def soak(count, tuning=None):
    """Boot @p count times; writes build/reports/lab-soak.json after each boot. Returns the exit status."""
    report = paths.BUILD / "reports/lab-soak.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    out = paths.BUILD / "lab/soak"
    with session.lock(out):
        return _soak(count, tuning, report, out)


def _soak(count, tuning, report, out):
    for old in out.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    image = product.prepare(out, godwit=False)
    boots = []
    for number in range(1, count + 1):
        boots.append(boot_record(session.play(["trust"], out, tuning, quiet=True)))
        _keep_logs(out, number)
        document = {"schema": 1, "machine": product.facts(image), "tuning": tuning or {}, "asked": count,
                    "summary": dict(collections.Counter(boot["result"] for boot in boots)), "boots": boots}
        report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        _tell(number, count, boots[-1])
    bad = [boot for boot in boots if boot["result"] != "ok"]
    print(f"lab-soak: {count - len(bad)} ok, {len(bad)} not; {report}")
    return 1 if bad else 0


def _keep_logs(out, number):
    """Logs of boot @p number in their own directory (the guest's kernel is the same every time)."""
    keep = pathlib.Path(out) / f"{number:02d}"
    keep.mkdir()
    for name in ("l1", "trust"):
        if (out / name).exists():
            (out / name).rename(keep / name)


def _tell(number, count, boot):
    lost = {way: part["lost"] for way, part in boot["frames"].items()}
    print(f"lab-soak: {number}/{count} {boot['crashed'] or boot['result']}, {boot['wall_s']:.0f} s, "
          f"guest up in {boot['l2_boot_s']} s, stopped {boot['stop_resume_ms']} ms, lost {lost}"
          f"{', ' + boot['reason'] if boot['reason'] else ''}", flush=True)
