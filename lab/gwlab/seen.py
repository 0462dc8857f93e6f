"""seen: what the guest noticed between two snapshots of its agent, and what of it does not count."""

import re

# An emulated machine on a busy host stutters, and the guest's kernel says so: about its clocks and nothing else.
STUTTER = re.compile(r"^(clocksource: |sched_clock: |hrtimer: interrupt took|perf: interrupt took too long)")


def guest_saw(before, after):
    """
    @param before, after  Agent.events() answers around what is judged; the mark was set before the first
    Returns (events, announcements): sentences, empty when the guest saw nothing; and how often its driver announced the
    guest to the network because the device asked it to (GUEST_ANNOUNCE), which changes nothing for the guest.
    """
    events = []
    if before["boot_id"] != after["boot_id"]:
        events.append("it was booted again")
    for name in sorted(set(before["carrier_changes"]) | set(after["carrier_changes"])):
        old, new = (snapshot["carrier_changes"].get(name) for snapshot in (before, after))
        if old != new:
            events.append(f"carrier changes of {name}: {old}, then {new}")
    announcements = 0
    for link in after["link_events"]:
        if link["type"] == "new" and link["event"] == "notify_peers" and link["carrier"] == 1:
            announcements += 1
        elif link["type"] == "new" and link["event"] == "igmp_resend" and link["carrier"] == 1:
            continue  # the other half of an announcement: memberships, for bridges that snoop
        else:
            events.append("link event: {type} {ifname} flags {flags:#x} operstate {operstate} carrier {carrier} "
                          "{event}".format(**link).rstrip())
    events += [f"kernel: {line}" for line in after["kernel_log"] if not STUTTER.match(line)]
    if after["dropped"]:
        events.append(f"{after['dropped']} events that were not kept")
    return events, announcements
