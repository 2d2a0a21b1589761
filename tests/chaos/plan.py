"""What happens in a round, drawn from its seed before it begins: a few kinds of faults, each in some places at some
times. A Fault knows its beginning and its end; what it strikes is left alone by others meanwhile."""
import collections


SESSION = 6.0

Fault = collections.namedtuple("Fault", "at kind target seconds detail")


def kill(rng):
    return rng.choice((0.0, 0.5, SESSION + 3 * rng.random()))


def between(low, high):
    return lambda rng: low + (high - low) * rng.random()


# kind: (what it strikes, how long, how long after that it is still felt, weight)
KINDS = {
    "kill": ("instance", kill, 2.0, 3),
    "leave": ("instance", between(0.5, 6), 2.0, 2),
    "join": ("idle", between(3, 10), 1.0, 2),
    "zombie": ("instance", between(SESSION + 1, SESSION + 6), 2.0, 3),
    "nap": ("instance", between(0.3, 3), 0.5, 1),
    "delay": ("line", between(2, 6), 0.0, 2),
    "drop": ("line", between(1, 12), 1.0, 2),
    "cut": ("line", between(0.1, 0.1), 1.0, 2),
    "hold_end": ("line", between(7, 9), 1.0, 3),
    "lose_end": ("line", between(3, 6), 1.0, 2),
    "broker": ("brokers", between(0.5, 5), 9.0, 2),
    "leaders": ("brokers", between(0.1, 0.1), 1.0, 2),
    "coordinators": ("brokers", between(0.1, 0.1), 1.0, 2),
    "registry": ("registry", between(2, 8), 0.0, 1),
    "change": ("program", between(30, 30), 30.0, 1),
    "silence": ("input", between(2, 7), 0.5, 2),
    "clock": ("input", between(0.1, 0.1), 0.5, 2),
}
OF_SEVERAL_NODES = ("leaders", "coordinators")


def draw(rng, *, slots, initial, nodes, seconds):
    """The faults of a round, in order of their beginning."""
    possible = [kind for kind in KINDS if nodes > 1 or kind not in OF_SEVERAL_NODES]
    kinds = rng.sample(possible, rng.choice((2, 3, 4, 5, len(possible))))
    weights = [KINDS[kind][3] for kind in kinds]
    faults, busy = [], collections.defaultdict(list)
    for _ in range(rng.choice((6, 10, 15, 20))):
        kind = rng.choices(kinds, weights)[0]
        strikes, lasts, felt, _ = KINDS[kind]
        idle = [slot for slot in slots if slot not in initial]
        places = {"instance": initial, "idle": idle, "line": [*initial, *initial, *slots]}.get(strikes, [strikes])
        if not places:
            continue
        fault = Fault(1.5 + (seconds - 3) * rng.random(), kind, rng.choice(places), lasts(rng), rng.random())
        until = fault.at + fault.seconds + felt
        resource = (strikes == "line", fault.target)
        if all(until < a or b < fault.at for a, b in busy[resource]):
            busy[resource].append((fault.at, until))
            faults.append(fault)
    return sorted(faults)
