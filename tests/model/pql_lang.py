"""The definition language for the model: text to a tree of plain tuples. Reads correct texts only; what is wrong is
the checker's business. Written from the grammar alone, apart from the product's parser.

Trees:  ('num', micros) ('dur', ms) ('str', text) ('bool', b) ('null',)
        ('or', a, b) ('and', a, b) ('not', a) ('cmp', op, a, b) ('in', negated, a, items)
        ('between', negated, a, low, high) ('text', op, negated, a, b) ('isnull', negated, a)
        ('arith', op, a, b) ('neg', a) ('attr', 'user' | 'account', path) ('prop', path) ('eventuser',) ('eventname',)
        ('fn', scope, name, (events, path, where), window, zone) scope: None, or 'account' for account.f(...)
        ('quant', scope, name, condition, of) ('spread', scope, path, condition) ('age', scope) ('usage', latest, limit)
        ('bit', condition): about the account alone, in a user's definition ('instate', definition) ('isdef', 'is' | 'was', definition) ('members', scope)
        ('score',) ('scoreof', definition) ('tierof', definition) ('param', value of, ((is, value), ...), default)
        ('hour', zone) ('weekday', zone) ('if', c, a, b) ('coalesce', items) ('at_least', n, items)
of sequence: selector is ('steps', ((events, path, where), ...), by, within)
events: ('any',) or ('names', (name, ...)); window: ('rolling', ms) ('prev', ms) ('first', ms) ('ever',)
('calendar', 'day' | 'week' | 'month' | 'quarter') ('period', name) or None; ('nth', n) of nth. zone: where local days matter, else None.
"""
import re

SCALE = 10 ** 6
UNITS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000, "w": 604800000}
EVENT_FUNCTIONS = ("count sum avg min max latest earliest distinct days weeks months streak ever nth first_time last_time "
                   "since").split()
LOCAL = ("days", "weeks", "months", "streak")
QUANTIFIERS = "users any_user all_users share".split()
RESERVED = ("and or not in is between starts ends contains matches where then by within of any one_of prev first ever "
            "today this true false null user account event").split()

TOKEN = re.compile(r"\s*(?:(?P<dur>\d+(?:ms|[smhdw])(?![A-Za-z0-9_]))|(?P<num>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
                   r"|'(?P<str>(?:[^']|'')*)'|(?P<sym><=|>=|!=|[-+*/()<>=,.$]))")


def duration_ms(text):
    match = re.fullmatch(r"(\d+)(ms|[smhdw])", text)
    return int(match.group(1)) * UNITS[match.group(2)]


def round_half_even(numerator, denominator):
    """numerator / denominator as a whole number, ties to even; denominator may be negative."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    whole, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole % 2):
        whole += 1
    return whole


def decimal_micros(text):
    """'-?digits[.digits]' in millionths, rounded half to even from its digits; None for anything else."""
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return None
    whole, _, fraction = text.partition(".")
    return round_half_even(int(whole + fraction) * SCALE, 10 ** len(fraction))


class Parser:
    def __init__(self, text, names, zone=None):
        self.names = names          # what $name stands for: text
        self.zone = zone
        self.tokens = []
        at = 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if not match:
                raise ValueError(f"cannot read {text[at:]!r}")
            kind = match.lastgroup
            value = match.group(kind)
            self.tokens.append((kind, value.replace("''", "'") if kind == "str" else value))
            at = match.end()
        self.tokens.append(("end", ""))
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def word(self, *words):
        """Takes these tokens if they come next (words or symbols, never quoted text)."""
        for i, word in enumerate(words):
            kind, value = self.peek(i)
            if kind not in ("name", "sym") or value != word:
                return False
        self.at += len(words)
        return True

    def need(self, word):
        if not self.word(word):
            raise ValueError(f"{word!r} expected at {self.peek()}")

    def whole(self):
        tree = self.expression()
        if self.peek()[0] != "end":
            raise ValueError(f"unexpected {self.peek()}")
        return tree

    def expression(self):
        left = self.conjunction()
        while self.word("or"):
            left = ("or", left, self.conjunction())
        return left

    def conjunction(self):
        left = self.negation()
        while self.word("and"):
            left = ("and", left, self.negation())
        return left

    def negation(self):
        if self.word("not"):
            return ("not", self.negation())
        return self.comparison()

    def comparison(self):
        left = self.sum()
        for op in ("<=", ">=", "!=", "=", "<", ">"):
            if self.word(op):
                return ("cmp", op, left, self.sum())
        if self.word("is", "not", "null"):
            return ("isnull", True, left)
        if self.word("is", "null"):
            return ("isnull", False, left)
        negated = self.word("not")
        if self.word("in"):
            self.need("(")
            return ("in", negated, left, self.items(self.sum))
        if self.word("between"):
            low = self.sum()
            self.need("and")
            return ("between", negated, left, low, self.sum())
        for op in (("starts", "with"), ("ends", "with"), ("contains",), ("matches",)):
            if self.word(*op):
                return ("text", op[0], negated, left, self.sum())
        if negated:
            raise ValueError("'not' before nothing")
        return left

    def items(self, one):
        """The rest of a list in parentheses."""
        found = [one()]
        while self.word(","):
            found.append(one())
        self.need(")")
        return tuple(found)

    def sum(self):
        left = self.product()
        while self.peek() in (("sym", "+"), ("sym", "-")):
            left = ("arith", self.take()[1], left, self.product())
        return left

    def product(self):
        left = self.unary()
        while self.peek() in (("sym", "*"), ("sym", "/")):
            left = ("arith", self.take()[1], left, self.unary())
        return left

    def unary(self):
        if not self.word("-"):
            return self.primary()
        inner = self.unary()
        return ("num", -inner[1]) if inner[0] == "num" else ("neg", inner)

    def primary(self):
        kind, value = self.take()
        if kind == "num":
            return ("num", decimal_micros(value))
        if kind == "dur":
            return ("dur", duration_ms(value))
        if kind == "str":
            return ("str", value)
        if (kind, value) == ("sym", "("):
            tree = self.expression()
            self.need(")")
            return tree
        if (kind, value) == ("sym", "$"):
            return self.named(self.names[self.take()[1]])
        if kind != "name":
            raise ValueError(f"unexpected {value!r}")
        if self.peek() == ("sym", "("):
            return self.call(None, value)
        if value in ("true", "false"):
            return ("bool", value == "true")
        if value == "null":
            return ("null",)
        if value in ("user", "account") and self.peek() == ("sym", "."):
            if value == "account" and self.peek(2) == ("sym", "("):
                self.take()
                return self.call("account", self.take()[1])
            return ("attr", value, self.path(""))
        if value == "score":
            return ("score",)
        if value == "user":
            return ("eventuser",)
        if value == "event":
            return ("eventname",)
        return ("prop", self.path(value))

    def named(self, what):
        """The tree of a signal or a parameter; of a parameter `by`: its attribute, the rows, the default."""
        if isinstance(what, str):
            return Parser(what, self.names, self.zone).whole()
        rows = tuple((self.named(is_), self.named(value)) for is_, value in what["values"])
        return ("param", self.named(what["by"]), rows, self.named(what["default"]))

    def path(self, first):
        keys = [first] if first else []
        while self.word("."):
            keys.append(self.take()[1])
        return ".".join(keys)

    def call(self, scope, name):
        self.need("(")
        if name in EVENT_FUNCTIONS:
            selector = self.selector()
            if name == "nth":
                self.need(",")
                window = ("nth", int(self.take()[1]))
            else:
                window = self.window() if self.word(",") else ("ever",) if name in ("latest", "earliest") else None
            self.need(")")
            is_local = name in LOCAL or (window and window[0] == "calendar")
            return ("fn", scope, name, selector, window, self.zone if is_local else None)
        if name in QUANTIFIERS:
            condition = self.expression()
            of = self.expression() if self.word("of") else None
            self.need(")")
            return ("quant", scope, name, condition, of)
        if name == "sequence":
            steps = [self.selector()]
            while self.word("then"):
                steps.append(self.selector())
            by = within = window = None
            if self.word("by"):
                by = self.path(self.take()[1])
            if self.word("within"):
                within = self.span()
            if self.word(","):
                window = self.window()
            self.need(")")
            return ("fn", scope, "sequence", ("steps", tuple(steps), by, within), window or ("ever",), None)
        if name == "usage":
            latest = ("fn", scope, "latest", self.selector(), ("ever",), None)
            self.need(",")
            limit = self.sum()
            self.need(")")
            return ("usage", latest, limit)
        if name == "spread":
            self.need("user")
            path = self.path("")
            self.need(",")
            condition = self.expression()
            self.need(")")
            return ("spread", scope, path, condition)
        if name in ("is", "was", "in_state_for", "score", "tier"):
            definition = self.take()[1]
            self.need(")")
            kind = {"in_state_for": "instate", "score": "scoreof", "tier": "tierof"}.get(name)
            return (kind, definition) if kind else ("isdef", name, definition)
        if name in ("members", "age", "hour", "weekday"):
            self.need(")")
            return (name, scope) if name in ("members", "age") else (name, self.zone)
        if name == "property":
            path = self.take()[1]
            self.need(")")
            return ("prop", path)
        if name == "at_least":
            least = int(self.take()[1])
            self.need(",")
            return ("at_least", least, self.items(self.expression))
        if name == "coalesce":
            return ("coalesce", self.items(self.expression))
        if name == "if":
            return ("if",) + self.items(self.expression)
        raise ValueError(f"function {name!r} is not in the model")

    def selector(self):
        if self.word("any"):
            events = ("any",)
        elif self.peek() == ("name", "one_of"):
            self.take()
            self.need("(")
            events = ("names", tuple(sorted(set(self.items(lambda: self.take()[1])))))
        else:
            events = ("names", (self.take()[1],))
        path = self.path("") if self.peek() == ("sym", ".") else None
        where = self.expression() if self.word("where") else None
        return (events, path, where)

    def window(self):
        if self.word("ever"):
            return ("ever",)
        if self.word("today"):
            return ("calendar", "day")
        if self.word("this"):
            return ("calendar", self.take()[1])
        if self.peek()[0] == "name" and self.peek()[1] not in ("first", "prev"):
            return ("period", self.take()[1])
        kind = "first" if self.word("first") else "prev" if self.word("prev") else "rolling"
        return (kind, self.span())

    def span(self):
        return duration_ms(self.names[self.take()[1]] if self.word("$") else self.take()[1])


def parse(text, names=None, zone=None):
    return shared(Parser(text, names or {}, zone).whole(), {})


def shared(tree, known):
    """The same tree with equal parts as one object."""
    if not isinstance(tree, tuple):
        return tree
    tree = tuple(shared(part, known) for part in tree)
    return known.setdefault(tree, tree)


def children(tree):
    """The trees directly inside a tree, without those of `where`."""
    kind = tree[0]
    if kind in ("or", "and"):
        return tree[1:]
    if kind in ("not", "neg"):
        return tree[1:2]
    if kind in ("cmp", "arith"):
        return tree[2:]
    if kind == "in":
        return (tree[2],) + tree[3]
    if kind == "between":
        return tree[2:]
    if kind == "text":
        return tree[3:]
    if kind == "isnull":
        return tree[2:]
    if kind == "usage":
        return tree[1:]
    if kind == "bit":
        return tree[1:]
    if kind == "spread":
        return tree[3:]
    if kind == "quant":
        return tuple(t for t in tree[3:] if t is not None)
    if kind in ("coalesce",):
        return tree[1]
    if kind == "at_least":
        return tree[2]
    if kind == "if":
        return tree[1:]
    if kind == "param":
        return (tree[1], tree[3]) + tuple(part for row in tree[2] for part in row)
    return ()


BOOLEAN = ("or", "and", "not", "cmp", "in", "between", "text", "isnull", "bool", "at_least", "isdef", "bit")


def is_boolean(tree):
    return tree[0] in BOOLEAN or (tree[0] == "fn" and tree[2] in ("ever", "sequence")) or \
        (tree[0] == "quant" and tree[2] in ("any_user", "all_users"))


def is_of_account(tree):
    """Whether a value is made of something of the account, not counting what is inside conditions of their own."""
    if tree[0] in ("fn", "quant", "spread", "members", "age") and tree[1] == "account":
        return True
    return tree[0] not in ("quant", "spread") and any(not is_boolean(t) and is_of_account(t) for t in children(tree))


def is_of_account_score(tree, of_accounts):
    """Whether a comparison is about scores of the account's definitions, and nothing of the user."""
    parts = [t for t in walk(tree) if t[0] not in ("cmp", "in", "between", "arith", "neg", "num", "str", "dur", "null", "bool")]
    return any(t[0] == "scoreof" for t in parts) and \
        all((t[0] == "scoreof" and t[1] in of_accounts) or t[:2] == ("attr", "account") for t in parts)


def with_bits(tree, of_accounts=frozenset()):
    """A user's condition with the smallest conditions about the account marked; of_accounts: names of its definitions."""
    if is_boolean(tree) and (is_of_account(tree) or is_of_account_score(tree, of_accounts)):
        return ("bit", tree)
    if tree[0] in ("fn", "quant", "spread"):
        return tree
    return tuple(with_bits(t, of_accounts) if isinstance(t, tuple) and t and isinstance(t[0], str) else
                 tuple(with_bits(x, of_accounts) for x in t) if isinstance(t, tuple) and t and isinstance(t[0], tuple) else t for t in tree)


def walk(tree):
    yield tree
    for child in children(tree):
        yield from walk(child)


def leaves(tree):
    """What a condition reads: calls, attributes, quantifiers (not what is inside them)."""
    if tree[0] in ("fn", "quant", "spread", "bit", "isdef", "instate", "scoreof", "tierof", "members", "age", "attr"):
        yield tree
        return
    for child in children(tree):
        yield from leaves(child)
