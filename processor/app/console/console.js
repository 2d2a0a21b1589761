"use strict";
/* The console: asks /status, /definitions and /recent every two seconds while it is in view and draws what they say.
 * Text from outside becomes text nodes only. What came before this page opened is not known to it, so charts begin
 * with it. */
const PERIOD_MS = 2000, KEPT = 300;
const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("pqlstream token") || "";
let turns = []; // of {at, status, lag, behind, definitions: {name: {entered, left, members}}}
let phases = {};  // by partition: its state at each turn
let asked = null; // {account, user} that is shown
let away = null;

/* --- making elements --- */

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {}))
    if (name in element && name !== "list") element[name] = value; else element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* --- words for numbers and times --- */

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const number = (value) => (value === null || value === undefined ? "–" : value < 100000 ? plain.format(value) : short.format(value));
const count = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return `${plain.format(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  for (; value >= 1000 && i < units.length - 1; i++) value /= 1000;
  return `${plain.format(value)} ${units[i]}`;
}

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const time = (text) => make("time", { dateTime: text, title: text }, minute.format(new Date(text)));

/* --- asking --- */

async function get(path) {
  const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store" });
  if (answer.status === 401) throw new WantsToken();
  return answer;
}
class WantsToken extends Error {}

function askForToken() {
  byId("refused").textContent = token ? "That is not the token." : "";
  token = "";
  sessionStorage.removeItem("pqlstream token");
  byId("login").hidden = false;
  say("locked", "warn");
}

function say(words, kind) {
  const health = byId("health");
  if (health.textContent !== words) health.textContent = words;
  health.className = `pill ${kind}`;
}

function goneAway() {
  away = away || new Date();
  byId("away").textContent = `No answer since ${clock.format(away)}: the process has ended or cannot be reached. Trying again; what is below is as of then.`;
  byId("away").hidden = false;
  document.body.classList.add("away");
  say("no answer", "bad");
}

function isBack() {
  if (away) turns = [], phases = {};
  away = null;
  byId("away").hidden = true;
  byId("login").hidden = true;
  document.body.classList.remove("away");
}

/* --- charts --- */

/* values: a number per turn; scaled from 0 to the largest. */
function chart(values, label) {
  const svg = draw("svg", { class: "chart", viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label });
  const most = Math.max(1e-9, ...values);
  if (values.length < 2) return svg;
  const points = values.map((value, i) => `${(i * 100 / (values.length - 1)).toFixed(2)},${(29 - value / most * 27).toFixed(2)}`);
  svg.append(draw("polygon", { class: "area", points: `0,30 ${points.join(" ")} 100,30` }), draw("polyline", { class: "line", points: points.join(" ") }));
  return svg;
}

/* Per second, between turns. */
function rates(read) {
  return turns.slice(1).map((turn, i) => {
    const before = turns[i];
    return Math.max(0, read(turn) - read(before)) * 1000 / Math.max(1, turn.at - before.at);
  });
}

/* Over the last ten seconds, so that it does not jump. */
function rate(read) {
  const last = turns[turns.length - 1], first = turns[Math.max(0, turns.length - 6)];
  return last === first ? 0 : Math.max(0, read(last) - read(first)) * 1000 / (last.at - first.at);
}

/* --- now --- */

function tile(name, value, more, picture) {
  return make("div", { className: "tile" }, make("div", { className: "name" }, name), make("div", { className: "value" }, value),
    make("div", { className: "more" }, more || ""), picture || null);
}

function showTiles(status, lag, behind) {
  const live = status.tasks.filter((task) => task.phase === "live").length;
  const events = (turn) => turn.status.events + turn.status.replayed, made = (turn) => turn.status.transitions;
  const memory = status.memory_limit_bytes;
  const meter = memory && make("meter", { min: 0, max: memory, value: status.memory_bytes, high: memory * 0.8, optimum: 0, ariaLabel: "Memory used of the budget" });
  byId("tiles").replaceChildren(
    tile("Events", `${number(rate(events))}/s`, `${count(status.events, "event")} since the start`, chart(rates(events), "Events per second since this page opened")),
    tile("Lag", lag === null ? "–" : number(lag), behind === null ? "records not read yet" : `records; ${span(behind)} behind`, chart(turns.map((turn) => turn.lag || 0), "Lag in records since this page opened")),
    tile("Transitions", `${number(rate(made) * 60)}/min`, `${count(status.transitions, "transition")} committed`, chart(rates(made), "Transitions per second since this page opened")),
    tile("Tasks", `${live}/${status.tasks.length}`, live === status.tasks.length ? "all live" : "live; the others are below", chart(turns.map((turn) => turn.status.tasks.filter((t) => t.phase === "live").length), "Live tasks since this page opened")),
    tile("Commits", status.last_commit_ms === null ? "–" : `${number(status.last_commit_ms)} ms`, `the last; ${number(status.commits)} done, ${number(status.aborted_commits)} aborted`, chart(turns.map((turn) => turn.status.last_commit_ms || 0), "Duration of commits since this page opened")),
    tile("Memory", bytes(status.memory_bytes), memory ? `of ${bytes(memory)}; ${count(status.accounts, "account")}` : `no limit; ${count(status.accounts, "account")}`, meter || chart(turns.map((turn) => turn.status.memory_bytes), "Memory since this page opened")));
}

const stateKind = (phase) => (phase === "live" ? "good" : phase === "blocked" ? "bad" : "warn");

function strip(partition) {
  const seen = phases[partition] || [], width = 100 / Math.max(30, seen.length);
  const svg = draw("svg", { class: "strip", viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img", "aria-label": `live ${Math.round(100 * seen.filter((p) => p === "live").length / Math.max(1, seen.length))} % of the time` });
  seen.forEach((phase, i) => svg.append(draw("rect", { x: i * width, width: width + 0.2, height: 12, class: phase === "live" || phase === "blocked" ? phase : "other" })));
  return svg;
}

function showTasks(status) {
  byId("partitions").replaceChildren(...status.tasks.sort((a, b) => a.partition - b.partition).map((task) =>
    make("tr", {}, make("th", { scope: "row" }, String(task.partition)),
      make("td", {}, make("span", { className: `pill ${stateKind(task.phase)}`, title: task.blocked || "" }, task.restored_percent === null ? task.phase : `${task.phase} ${task.restored_percent} %`), task.blocked ? make("div", { className: "soft" }, task.blocked) : null),
      make("td", {}, strip(task.partition)), make("td", { className: "n" }, number(task.lag_records)), make("td", { className: "n" }, span(task.lag_seconds)),
      make("td", { className: "n" }, number(task.accounts)), make("td", {}, task.clock_ms === null ? "–" : minute.format(new Date(task.clock_ms))),
      make("td", { className: "n" }, task.snapshot_age_seconds === null ? "–" : `${span(task.snapshot_age_seconds)} ago`))));
  if (!status.tasks.length) byId("partitions").replaceChildren(make("tr", {}, make("td", { colSpan: 8 }, "No partition is assigned to this instance.")));
}

/* --- definitions --- */

function bars(rows, className) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  return make("ul", { className: `bars ${className || ""}` }, ...rows.map((row) => {
    const svg = draw("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("rect", { width: 100 * row.value / most, height: 10, rx: 1 }));
    return make("li", { title: row.title || "" }, make("span", {}, row.name), svg, make("strong", {}, number(row.value)));
  }));
}

const definitionCards = {};

function showDefinitions(definitions) {
  const names = definitions.map((d) => `${d.subject} ${d.name}`);
  for (const name of Object.keys(definitionCards)) if (!names.includes(name)) delete definitionCards[name];
  byId("cards").replaceChildren(...definitions.map((d, i) => {
    const read = (what) => (turn) => (turn.definitions[names[i]] || {})[what] || 0;
    const figures = make("div", {},
      make("dl", { className: "numbers" }, ...[["members", number(d.members)], ["entering", `${number(rate(read("entered")) * 60)}/min`], ["leaving", `${number(rate(read("left")) * 60)}/min`], ["entered today", number(d.entered_today)]]
        .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
      chart(turns.map(read("members")), `Members of ${d.name} since this page opened`),
      d.tiers.length ? bars(d.tiers.map((t) => ({ name: t.tier, value: t.members }))) : null);
    const card = definitionCards[names[i]] || (definitionCards[names[i]] = make("article", { className: "card" },
      make("div", { className: "head" }, make("h3", {}, d.name), make("span", { className: "soft" }, `${d.subject}, version ${d.version}`), d.mode === "live" ? null : make("span", { className: "pill" }, d.mode)),
      make("div", { className: "figures" }), make("details", {}, make("summary", {}, `What ${d.name} means`), make("pre", {}, ""))));
    card.querySelector(".figures").replaceChildren(figures);
    if (card.querySelector("pre").textContent !== d.explained) card.querySelector("pre").textContent = d.explained;
    return card;
  }));
  if (!definitions.length) byId("cards").replaceChildren(make("p", { className: "empty" }, "No definitions."));
}

/* --- what happened last --- */

const verbs = { entered: ["qualified", "good"], left: ["left", ""], tier_changed: ["tier changed", "good"], missed: ["missed", ""], sla_breached: ["no answer yet", "bad"] };

function subjectLink(account, user) {
  return make("button", { type: "button", className: "link", onclick: () => { lookUp(account, user || "", true); } }, user ? `${user} of ${account}` : account);
}

function showRecent(recent) {
  const list = byId("stream"), top = list.scrollTop, held = list.contains(document.activeElement);
  if (!held) {
    list.replaceChildren(...recent.transitions.map((t) => {
      const [words, kind] = verbs[t.transition] || [t.transition, ""];
      return make("li", {}, make("span", { className: `pill ${kind}` }, words),
        make("div", { className: "what" }, subjectLink(t.account, t.user), ` – ${t.definition}${t.tier ? `, ${t.tier}` : ""}${t.shadow ? " (shadow)" : ""}`, make("div", { className: "soft" }, t.words || t.reason)),
        time(t.occurred_at));
    }));
    list.scrollTop = top;
  }
  if (!recent.transitions.length) list.replaceChildren(make("li", {}, make("span", { className: "soft" }, "None since this instance started.")));
  showLetters(recent);
}

function showLetters(recent) {
  const box = byId("reasons"), open = box.querySelector("details[open]") !== null;
  if (!recent.dead_letters_by_reason.length) {
    box.replaceChildren(make("p", { className: "card empty" }, "None since this instance started."));
    return;
  }
  const rows = recent.dead_letters.map((l) => make("tr", {}, make("td", {}, l.reason), make("td", {}, `${l.topic}[${l.partition}]@${l.offset}`), make("td", {}, time(l.at))));
  box.replaceChildren(make("div", { className: "card" },
    bars(recent.dead_letters_by_reason.map((r) => ({ name: r.reason, value: r.count, title: r.means })), "bad"),
    ...recent.dead_letters_by_reason.map((r) => make("p", { className: "soft" }, make("strong", {}, r.reason), `: ${r.means}`)),
    make("p", { className: "soft" }, "Their bytes stay in the topic: ", make("code", {}, "pqlstream dlq show"), " prints them for whoever may read it."),
    make("details", { open }, make("summary", {}, `Where the last ${rows.length} lie`),
      make("div", { className: "scroll", tabIndex: 0 }, make("table", {}, make("thead", {}, make("tr", {}, ...["Reason", "Record", "When"].map((t) => make("th", { scope: "col" }, t)))), make("tbody", {}, ...rows))))));
}

/* --- look up --- */

const holds = { no_member: "is no member of the account any more", ineligible: "is not eligible", converted: "has converted", disqualified: "was disqualified", cooldown: "left a while ago and is in its cooldown", stay: "would not stay: the condition to stay does not hold" };
const states = { qualified: ["qualified", "good"], not_yet: ["not yet", ""], left: ["left", "warn"], missed: ["missed", "warn"] };
const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const shown = (value) => (value === null ? "nothing" : typeof value === "number" ? exact.format(value) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value));
const valueOf = (number, text) => (number === null || number === undefined ? (text === undefined ? null : text) : number);

/* How far the value is on the way to its threshold, which is at three quarters. */
function need(value, threshold, met) {
  const scale = Math.max(Math.abs(threshold) / 0.75, Math.abs(value), 1e-9), mark = 100 * Math.abs(threshold) / scale;
  return draw("svg", { class: "need", viewBox: "0 0 100 14", preserveAspectRatio: "none", role: "img", "aria-label": `${shown(value)}, needs ${shown(threshold)}` },
    draw("rect", { class: "back", y: 3, width: 100, height: 8, rx: 1.5 }),
    draw("rect", { class: met ? "met" : "open", y: 3, width: Math.max(0, 100 * Math.max(0, value) / scale), height: 8, rx: 1.5 }),
    draw("line", { class: "mark", x1: mark, x2: mark, y1: 0, y2: 14, "vector-effect": "non-scaling-stroke" }));
}

/* First and last of what counted, now, and when it changes by itself. */
function timeLine(evidence, row, now) {
  const at = (text) => (text ? Date.parse(text) : null);
  const first = at(evidence.first_at), last = at(evidence.last_at), next = at(row.next_change);
  if (first === null) return null;
  const from = first, to = Math.max(now, next || now), width = Math.max(1, to - from), x = (t) => 8 + 584 * (t - from) / width;
  const svg = draw("svg", { class: "when", viewBox: "0 0 600 34", role: "img", "aria-label": `counted from ${evidence.first_at} to ${evidence.last_at || evidence.first_at}${next ? `, changes at ${row.next_change}` : ""}` },
    draw("line", { x1: 8, x2: 592, y1: 10, y2: 10 }), draw("line", { class: "span", x1: x(first), x2: x(last === null ? first : last), y1: 10, y2: 10 }));
  for (const t of [first, last]) if (t !== null) svg.append(draw("circle", { cx: x(t), cy: 10, r: 5 }));
  svg.append(draw("line", { class: "now", x1: x(now), x2: x(now), y1: 2, y2: 18 }));
  const label = (t, words, anchor) => { const text = draw("text", { x: x(t), y: 31, "text-anchor": anchor }); text.textContent = words; svg.append(text); };
  label(first, day.format(new Date(first)), "start");
  if (next) {
    svg.append(draw("line", { class: "ends", x1: x(next), x2: x(next), y1: 2, y2: 18 }));
    label(next, `changes ${day.format(new Date(next))}`, "end");
    if ((x(now) - 8) > 110 && (592 - x(now)) > 150) label(now, "now", "middle");
  } else label(now, "now", "end");
  return svg;
}

function evidenceItem(evidence, row, now) {
  const value = valueOf(evidence.value, evidence.value_text), threshold = valueOf(evidence.threshold, evidence.threshold_text);
  const numbers = typeof value === "number" && typeof threshold === "number";
  const words = threshold === null ? shown(value) : `${evidence.at_least ? "at least " : ""}${shown(value)} (needs ${row.comparison === ">=" ? "" : `${row.comparison} `}${shown(threshold)})`;
  return make("li", {},
    make("div", { className: "row" }, make("code", {}, threshold === null ? row.condition : evidence.signal), make("span", { className: "value" }, words), make("span", { className: `pill ${evidence.met ? "good" : "warn"}` }, evidence.met ? "met" : "open"),
      evidence.points === null || evidence.points === undefined ? null : make("span", { className: "soft" }, `${number(evidence.points)} points`)),
    numbers ? need(value, threshold, evidence.met) : null, timeLine(evidence, row, now));
}

function standing(d, now) {
  const r = d.record, [words, kind] = states[r.status] || [r.status, ""];
  const facts = [];
  const when = (name, text) => { if (text) facts.push(make("span", {}, ` ${name} `, time(text), ".")); };
  if (d.held_back_by !== "none") facts.push(`Held back: ${holds[d.held_back_by] || d.held_back_by}.`);
  when("Until", d.held_back_until);
  when("Qualified", r.status === "qualified" ? r.qualified_at : null);
  when("First qualified", r.qualification_count > 1 || r.status !== "qualified" ? r.first_qualified_at : null);
  when("Left", r.status === "left" ? r.left_at : null);
  when("Would lapse", r.expires_at);
  when("Leaves", d.leaves_at);
  when("Answer due", r.sla_due_at);
  if (r.qualification_count > 1) facts.push(` Qualified ${r.qualification_count} times.`);
  const score = r.score === null || r.score === undefined ? null : make("span", { className: "soft" }, `score ${number(r.score)}${r.tier ? `, ${r.tier}` : ""}`);
  return make("article", { className: `card ${r.status === "qualified" ? "yes" : ""}` },
    make("div", { className: "head" }, make("h3", {}, r.definition), make("span", { className: "soft" }, d.mode === "live" ? "" : d.mode), score, make("span", { className: `pill ${kind}` }, words)),
    r.reason_text ? make("p", { className: "words" }, r.status === "qualified" ? r.reason_text : `So far: ${r.reason_text}`) : null,
    facts.length ? make("p", { className: "soft" }, ...facts) : null,
    r.missing.length && r.status !== "qualified" ? make("p", { className: "soft" }, "Missing: ", make("code", {}, r.missing.join("; "))) : null,
    make("ul", { className: "evidence" }, ...r.evidence.map((e, i) => evidenceItem(e, d.rows[i], now))));
}

function showSubject(subject, answer) {
  const now = Date.parse(subject.as_of), of = subject.user ? `${subject.user} of ${subject.account}` : subject.account;
  const about = [subject.start ? ["Known since ", time(subject.start), subject.signed_up ? " (signed up)" : " (first seen)"] : [], [`, as of `, time(subject.as_of)], [`, partition ${answer.partition === null ? subject.partition : answer.partition}${answer.instance ? ` on ${answer.instance}` : ""}.`]];
  if (subject.user) about.push([subject.member ? " A member of the account." : " No member of the account."]);
  const parts = [make("div", { className: "subject" }, make("h3", {}, of), make("p", {}, ...about.flat()))];
  if (subject.user) parts.push(make("p", {}, "Account: ", subjectLink(subject.account, "")));
  else if (subject.users_count)
    parts.push(make("p", { className: "soft" }, `${count(subject.users_count, "user")}, ${count(subject.members_count, "member")}${subject.users.length < subject.users_count ? `; the first ${subject.users.length}` : ""}:`),
      make("ul", { className: "chips" }, ...subject.users.map((user) => make("li", {}, make("button", { type: "button", className: "link", onclick: () => lookUp(subject.account, user, true) }, user)))));
  parts.push(subject.definitions.length ? make("div", { className: "cards" }, ...subject.definitions.map((d) => standing(d, now))) : make("p", { className: "soft" }, `No definition is about ${subject.user ? "users" : "accounts"}.`));
  byId("found").replaceChildren(...parts);
}

async function lookUp(account, user, jumps) {
  asked = { account, user };
  byId("account").value = account;
  byId("user").value = user;
  const place = `#account=${encodeURIComponent(account)}${user ? `&user=${encodeURIComponent(user)}` : ""}`;
  if (jumps && location.hash !== place) history.pushState(null, "", place);
  try {
    const answer = await get(`../accounts/${encodeURIComponent(account)}${user ? `/users/${encodeURIComponent(user)}` : ""}`), body = await answer.json();
    if (asked.account !== account || asked.user !== user) return;
    if (body.subject) {
      showSubject(body.subject, body);
    } else {
      const owner = body.owner ? ` Ask ${body.owner.instance || "the one"} on ${body.owner.host}.` : "";
      byId("found").replaceChildren(make("p", { className: "card" }, `${user ? `${user} of ${account}` : account}: ${body.message || "no answer"}.${owner}`));
    }
  } catch (error) {
    if (error instanceof WantsToken) askForToken(); else goneAway();
    return;
  }
  if (jumps) byId("lookup").scrollIntoView();
}

function lookUpPlace() {
  const place = new URLSearchParams(location.hash.slice(1));
  if (place.get("account")) lookUp(place.get("account"), place.get("user") || "", true);
}

/* --- turns --- */

async function turn() {
  const answers = await Promise.all(["../status", "../definitions", "../recent"].map(get));
  isBack();
  if (answers[0].status === 503) { say("starting", "warn"); return; }
  const [status, definitions, recent] = await Promise.all(answers.map((answer) => answer.json()));
  const known = status.tasks.filter((task) => task.lag_records !== null);
  const lag = known.length || !status.tasks.length ? known.reduce((sum, task) => sum + task.lag_records, 0) : null;
  const seconds = status.tasks.map((task) => task.lag_seconds).filter((s) => s !== null), behind = seconds.length ? Math.max(...seconds) : null;
  const scores = {};
  for (const d of definitions) scores[`${d.subject} ${d.name}`] = { entered: d.entered, left: d.left, members: d.members };
  turns.push({ at: Date.now(), status, lag, behind, definitions: scores });
  turns = turns.slice(-KEPT);
  for (const task of status.tasks) phases[task.partition] = [...(phases[task.partition] || []), task.phase].slice(-KEPT);
  byId("app").textContent = status.app;
  document.title = `${status.app} – pqlstream`;
  byId("who").textContent = `${status.instance ? `${status.instance}, ` : ""}version ${status.version}, revision ${status.revision}, up ${span(status.up_seconds)}`;
  say(status.ready ? "ready" : "not ready", status.ready ? "good" : "warn");
  byId("health").title = status.not_ready;
  showTiles(status, lag, behind);
  showTasks(status);
  showDefinitions(definitions);
  showRecent(recent);
}

async function run() {
  if (!document.hidden && (byId("login").hidden || token)) {
    try {
      await turn();
    } catch (error) {
      if (error instanceof WantsToken) askForToken(); else if (error instanceof TypeError || error instanceof SyntaxError) goneAway(); else throw error;
    }
  }
  setTimeout(run, PERIOD_MS);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUp(byId("account").value, byId("user").value, true);
});
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  byId("token").value = "";
  sessionStorage.setItem("pqlstream token", token);
});
window.addEventListener("popstate", lookUpPlace);
lookUpPlace();
run();
