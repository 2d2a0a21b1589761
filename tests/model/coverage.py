"""What random cases contained: how many had each function, window, operator and field, and each kind of event and
transition. A row with few is a part of the language that the comparison says little about."""
import collections
import re

from pql_replay import config_text

FUNCTIONS = ("count sum avg min max latest earliest distinct days weeks months streak ever nth first_time last_time since sequence usage "
             "users any_user all_users share spread is was score tier in_state_for members age hour weekday if coalesce at_least "
             "property one_of").split()
OF_ACCOUNT = ("count sum avg min max latest earliest distinct days weeks months streak ever first_time last_time since sequence "
              "usage users any_user all_users share spread members age").split()
TEXTS = [(name, rf"(?<![.\w]){name}\(") for name in FUNCTIONS] + [("account." + name, rf"account\.{name}\(") for name in OF_ACCOUNT] + [
    ("window 7d", r", \d+(ms|[smhd])\)"), ("window prev", r", prev "), ("window first", r", first [\d$]"), ("window ever", r", ever\)"),
    ("window today", r", today\)"), ("window this week", "this week"), ("window this month", "this month"), ("window this quarter", "this quarter"),
    ("window period, length", r", trial\)"), ("window period, end", r", pilot\)"), ("window $w", r"\$w"),
    ("sequence by", r" by (p|s|user|event)"), ("sequence within", " within "), ("share of", r"share\(.* of "), ("any", r"\(any"), ("quoted event", r"\('x'"),
    ("where", " where "), ("user in where", " user ="), ("event in where", " event "), ("user.a in where", r"where [^,]*user\.role"),
    ("account.a in where", r"where [^,]*account\."), (".user", r"\.user[,)]"), (".event", r"\.event[, )]"),
    ("or", r"\) or \("), ("and", r"\) and \("), ("not", r"\bnot \("), ("=", " = "), ("!=", " != "), ("<", " < "), ("<=", " <= "), (">", " > "), (">=", " >= "),
    ("in", r"[^t] in \("), ("not in", r" not in \("), ("between", "[^t] between "), ("not between", " not between "), ("starts with", "[^t] starts with"),
    ("not starts with", "not starts with"), ("ends with", "ends with"), ("contains", "contains"), ("matches", "matches"), ("is null", " is null"),
    ("is not null", " is not null"), ("+", r" \+ "), ("-", r" - "), ("*", r" \* "), ("/", " / "), ("unary -", r"[ (\"]-[(a-z]"), ("true, false", r"(true|false)[)\"; ]"),
    ("user.a", r"user\.(role|level)"), ("account.a", r"account\.(plan|limit)\b"), ("signal", r"\$s\d"), ("parameter by", r"\$(bar|low)"),
    ("families", "family ="), ("caps", "caps ="), ("negative points", "points = -"), ("points per", "per ="), ("max units", "max ="), ("multiply", "multiply ="),
    ("half_life", "half_life ="), ("fades_over", "fades_over ="), ("decay_step", "decay_step ="), ("publish min_delta", "min_delta ="),
    ("publish min_interval", "min_interval ="), ("publish scores all", 'scores = "all"'), ("publish missed", "missed = true"), ("subject user", 'subject = "user"'),
    ("subject account", 'subject = "account"'), ("shadow", '"shadow"'), ("signals", "^signals"), ("parameters", "^parameters")] + [
    (name, rf"\b{name} =") for name in ("tiers stay eligible min_stay cooldown once convert_on disqualify_on disqualify_for reopen_on sla acknowledge_on routes segment "
                                        "motion priority timezone context reason include_attributes exact_max evidence_max lateness dedup_horizon "
                                        "dedup_ids_max late_policy start_grace start_events activity ignore periods labels").split()]
PATTERNS = [(name, re.compile(pattern, re.M)) for name, pattern in TEXTS]
ENOUGH = 200        # of 10,000 cases


class Coverage:
    def __init__(self):
        self.cases, self.with_it, self.transitions = 0, collections.Counter(), collections.Counter()

    def note(self, case, partitions):
        """A case as rendered, and the model's records of it."""
        self.cases += 1
        text = config_text(case)
        found = {name for name, pattern in PATTERNS if pattern.search(text)}
        found |= {"event " + event["type"] for event in case["events"]}
        found |= {name for name, value in (("partitions", case["partitions"] > 1), ("saved and loaded", case["save"]), ("work is cut", case["limit"]),
                                           ("refresh", case["refresh"]), ("advance end", case["advance"] == "end")) if value}
        if any(later["occurred_at"] < event["occurred_at"] for event, later in zip(case["events"], case["events"][1:])
               if later["occurred_at"] and event["occurred_at"]):
            found.add("disorder")
        if len({event["message_id"] for event in case["events"]}) < len(case["events"]):
            found.add("delivered twice")
        self.with_it.update(found)
        self.transitions.update(f"{r['transition']} {r['reason'] or ''}".strip() for records in partitions for r in records)

    def add(self, other):
        self.cases += other.cases
        self.with_it.update(other.with_it)
        self.transitions.update(other.transitions)

    def rows(self):
        names = [name for name, _ in TEXTS]
        return names + sorted(set(self.with_it) - set(names))

    def table(self):
        lines = [f"of {self.cases} cases had, for each 10,000 of them ({ENOUGH} are enough):"]
        for name in self.rows():
            share = self.with_it[name] * 10000 // max(1, self.cases)
            lines.append(f"  {name:24} {share:6}" + ("  few" if share < ENOUGH else ""))
        lines.append("transitions:")
        lines += [f"  {name:24} {count:8}" for name, count in sorted(self.transitions.items())]
        return "\n".join(lines)
