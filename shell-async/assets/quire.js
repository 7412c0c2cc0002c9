// What pages do beyond being read: they follow what they show, count seconds, and show any window of a log.
//
// A page and its live view have one address. The stream tells the version of what the page shows, and tells it again after every
// reconnection; a page that is of another version fetches itself and takes over what differs. So nothing can be missed or
// come twice. Without this script all of it is there, one reload at a time.

const root = document.documentElement;
const address = () => location.pathname + location.search;

// --- What time changes -------------------------------------------------------------------------------------------------

let skew = 0;
const setClock = () => { skew = Number(root.dataset.now || Date.now()) - Date.now(); };
const now = () => Date.now() + skew;

function elapsed(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  return `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`;
}

function age(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s ago`;
  if (s < 3600) return `${Math.floor(s / 60)}m ago`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ago`;
  return `${Math.floor(s / 86400)}d ago`;
}

function tick() {
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  for (const e of document.querySelectorAll("[data-since]")) put(e, elapsed(now() - Number(e.dataset.since)));
  for (const e of document.querySelectorAll("[data-ago]")) put(e, age(now() - Number(e.dataset.ago)));
  for (const e of document.querySelectorAll("[data-due]")) {
    const left = Number(e.dataset.due) - now();
    put(e, left >= 0 ? `about ${elapsed(left)} left` : `${elapsed(-left)} longer than usual`);
  }
  const line = document.getElementById("timeline");
  if (line?.dataset.live === "true") {
    const begin = Number(line.dataset.begin);
    const whole = Math.max(1, now() - begin);
    for (const bar of line.querySelectorAll("rect[data-from]")) {
      const from = Number(bar.dataset.from) - begin;
      const to = bar.dataset.to ? Number(bar.dataset.to) - begin : whole;
      bar.setAttribute("x", `${(100 * from / whole).toFixed(2)}%`);
      bar.setAttribute("width", `${Math.max(0.15, 100 * (to - from) / whole).toFixed(2)}%`);
    }
    const end = line.querySelector(".whole");
    if (end) put(end, elapsed(whole));
  }
}

// --- Taking over what differs -----------------------------------------------------------------------------------------

/** Makes `from` like `to`, keeping every node that can stay: focus, selections and scroll places live in nodes. */
function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || (from.id || "") !== (to.id || "")) {
    from.replaceWith(document.importNode(to, true));
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    from.nodeValue = to.nodeValue;
    return;
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !(name === "open" && from.localName === "details")) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  if (from.dataset?.keep !== undefined) return;
  const named = new Map([...from.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const same = wanted.id ? named.get(wanted.id) : place && !place.id && place.nodeName === wanted.nodeName ? place : null;
    if (!same) {
      from.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else from.insertBefore(same, place);
    morph(same, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** This page as it is now. */
async function newest() {
  const answer = await fetch(address(), { headers: { accept: "text/html" }, cache: "no-store" });
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Takes over title, icon, state, clock and one element of a newer page. */
function takeOver(next, id) {
  document.title = next.title;
  for (const key of ["state", "now"]) {
    const value = next.documentElement.dataset[key];
    if (value === undefined) delete root.dataset[key]; else root.dataset[key] = value;
  }
  const icon = next.querySelector("link[rel=icon]")?.getAttribute("href");
  const own = document.querySelector("link[rel=icon]");
  if (icon && own && own.getAttribute("href") !== icon) own.setAttribute("href", icon);
  setClock();
  const [from, to] = [document.getElementById(id), next.getElementById(id)];
  if (from && to) morph(from, to);
  tick();
}

let fetching = false;
let wanted = false;

/** Fetches this page again and takes over what differs. Not more than four times a second. */
async function refresh() {
  if (fetching) {
    wanted = true;
    return;
  }
  fetching = true;
  wanted = false;
  try {
    const next = await newest();
    if (next.documentElement.dataset.version) {
      root.dataset.version = next.documentElement.dataset.version;
      takeOver(next, "main");
    }
  } catch {
    // The stream tells the version again once the server is back.
  }
  setTimeout(() => {
    fetching = false;
    if (wanted) refresh();
  }, 250);
}

// --- Following ---------------------------------------------------------------------------------------------------------

let source = null;
let retry = 0;
let told = (version) => { if (version !== root.dataset.version) refresh(); };

function lost(isLost) {
  const note = document.getElementById("lost");
  if (note) note.hidden = !isLost;
}

function follow() {
  clearTimeout(retry);
  if (source || document.hidden || root.dataset.live !== "true") return;
  source = new EventSource(address());
  source.onopen = () => lost(false);
  source.onmessage = (event) => { lost(false); told(event.data); };
  source.addEventListener("end", (event) => { told(event.data); leave(); root.dataset.live = "false"; });
  source.onerror = () => {
    lost(true);
    // The browser comes back by itself, but not after an answer that is no stream.
    if (source?.readyState === EventSource.CLOSED) {
      leave();
      retry = setTimeout(follow, 2000);
    }
  };
}

function leave() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

// --- Logs --------------------------------------------------------------------------------------------------------------

const WINDOW = 500; // rows that are asked for at once
const MOST = 2000;

function logPage(log) {
  const base = location.pathname;
  const query = new URLSearchParams(location.search);
  const top = document.getElementById("earlier");
  const bottom = document.getElementById("later");
  const range = document.getElementById("range");
  const slider = document.getElementById("position");
  const goto = document.getElementById("goto");
  const find = document.getElementById("find");
  let busy = false;
  let next = null;
  let anew = false;
  const rows = () => log.getElementsByClassName("row");
  const number = (row) => Number(row.id.slice(1));
  const first = () => (rows().length ? number(rows()[0]) : 1);
  const last = () => (rows().length ? number(rows()[rows().length - 1]) : 0);
  const total = () => Number(log.dataset.total);
  const grouped = (n) => n.toLocaleString("en");
  const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 40;

  function chosen() {
    const match = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    if (!match) return null;
    const [a, b] = [Number(match[1]), Number(match[2] || match[1])];
    return { from: Math.min(a, b), to: Math.max(a, b) };
  }

  function mark() {
    const lines = chosen();
    for (const row of rows()) row.classList.toggle("chosen", !!lines && number(row) >= lines.from && number(row) <= lines.to);
  }

  function describe() {
    const shown = rows().length ? `lines ${grouped(first())}–${grouped(last())} of ${grouped(total())}` : "no lines yet";
    if (range.textContent !== shown) range.textContent = shown;
    top.hidden = first() <= 1;
    bottom.hidden = last() >= total();
    slider.max = String(Math.max(1, total()));
    slider.parentElement.hidden = total() <= WINDOW;
    log.dataset.end = String(log.dataset.done === "true" && last() >= total());
  }

  async function load(parameters) {
    const asked = new URLSearchParams(parameters);
    if (query.get("times")) asked.set("times", query.get("times"));
    if (query.get("find") && !asked.has("find")) asked.set("mark", query.get("find"));
    const answer = await fetch(`${base}/rows?${asked}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const held = document.createElement("template");
    held.innerHTML = await answer.text();
    const window = held.content.firstElementChild;
    log.dataset.total = window.dataset.total;
    log.dataset.done = window.dataset.done;
    return window;
  }

  /** Keeps what is looked at where it is while rows come and go above it. */
  function steadily(change) {
    const seen = [...rows()].find((row) => row.getBoundingClientRect().bottom > 0);
    const before = seen?.getBoundingClientRect().top;
    change();
    if (seen?.isConnected) scrollBy(0, seen.getBoundingClientRect().top - before);
  }

  function trim(atTheTop) {
    while (rows().length > MOST) rows()[atTheTop ? 0 : rows().length - 1].remove();
  }

  function put(window) {
    for (const row of [...window.children]) {
      const own = document.getElementById(row.id);
      if (own) own.replaceWith(row); else log.append(row);
    }
  }

  /** One at a time; what somebody asked for meanwhile comes next, and only the last of it. */
  async function alone(work, isAsked) {
    if (busy) {
      if (isAsked) next = () => alone(work, true);
      return false;
    }
    busy = true;
    next = null;
    try {
      await work();
      mark();
      describe();
    } catch {
      lost(true);
    }
    busy = false;
    if (anew) grown();
    else if (next) next();
    else observe();
    return true;
  }

  /** Shows the window that these parameters name, and what stands in it. */
  const show = (parameters, target) => alone(async () => {
    const window = await load({ count: String(WINDOW), ...parameters });
    log.replaceChildren(...window.children);
    const line = target ?? Number(window.dataset.match || 0);
    const row = line && document.getElementById(`L${line}`);
    if (row) row.scrollIntoView({ block: "center" });
    else if (parameters.from === "end") scrollTo(0, document.documentElement.scrollHeight);
    else log.scrollIntoView();
    if (window.dataset.found) document.getElementById("found").textContent = window.dataset.found;
    if (window.dataset.match) log.dataset.match = window.dataset.match;
  }, true);

  const later = () => last() < total() && alone(async () => {
    const window = await load({ from: String(last() + 1), count: String(WINDOW) });
    steadily(() => { put(window); trim(true); });
  });

  const earlier = () => first() > 1 && alone(async () => {
    const from = Math.max(1, first() - WINDOW);
    const window = await load({ from: String(from), count: String(first() - from) });
    steadily(() => { log.prepend(...window.children); trim(false); });
  });

  /** More was printed: whoever is at the end sees it; who reads elsewhere is not disturbed. */
  function grown() {
    anew = true;
    if (busy) return;
    anew = false;
    const isFull = rows().length >= WINDOW && !atEnd();
    alone(async () => {
      const known = total();
      if (isFull || last() < known) {
        await load({ from: String(Math.max(1, last())), count: "1" }).then(put);
        return;
      }
      const following = atEnd();
      for (;;) {
        const window = await load({ from: String(Math.max(1, last())), count: String(WINDOW) });
        const before = last();
        put(window);
        if (following) trim(true);
        if (last() >= total() || last() === before || rows().length >= MOST) break;
      }
      if (following) scrollTo(0, document.documentElement.scrollHeight);
    });
  }

  told = (version) => {
    if (version === root.dataset.version) return;
    const ended = version.endsWith("!") !== (root.dataset.version || "").endsWith("!");
    root.dataset.version = version;
    grown();
    if (ended) newest().then((next) => takeOver(next, "head"), () => lost(true));
  };

  function goToHash() {
    const lines = chosen();
    mark();
    if (!lines) return;
    const row = document.getElementById(`L${lines.from}`);
    if (row) row.scrollIntoView({ block: "center" });
    else show({ from: String(Math.max(1, lines.from - 20)) }, lines.from);
  }

  let anchor = chosen()?.from;
  log.addEventListener("click", (event) => {
    const link = event.target.closest("a.n");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    const line = number(link.parentElement);
    const [from, to] = event.shiftKey && anchor ? [Math.min(anchor, line), Math.max(anchor, line)] : [line, line];
    if (!event.shiftKey) anchor = line;
    history.replaceState(null, "", `${address()}#L${from}${to > from ? `-L${to}` : ""}`);
    mark();
  });
  addEventListener("hashchange", goToHash);

  goto.addEventListener("submit", (event) => {
    event.preventDefault();
    const line = Math.min(total(), Math.max(1, Number(goto.elements.from.value) || 1));
    history.pushState(null, "", `${address()}#L${line}`);
    show({ from: String(Math.max(1, line - 20)) }, line);
  });
  for (const link of document.querySelectorAll("a[data-from]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      show({ from: link.dataset.from });
    });
  }
  for (const link of document.querySelectorAll("a[data-times]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      query.set("times", link.dataset.times);
      for (const other of document.querySelectorAll("a[data-times]")) other.toggleAttribute("aria-current", other === link);
      const seen = [...rows()].find((row) => row.getBoundingClientRect().bottom > 60);
      const line = seen ? number(seen) : 1;
      history.replaceState(null, "", `${base}?${query}${location.hash}`);
      show({ from: String(Math.max(1, line - 20)) }, line);
    });
  }
  let waiting = 0;
  slider.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show({ from: slider.value }, Number(slider.value)), 60);
  });
  const search = (back) => {
    const text = find.elements.find.value;
    if (!text) return;
    const match = Number(log.dataset.match || 0);
    const isSame = query.get("find") === text;
    const from = isSame && match ? (back ? match - 1 : match + 1) : first();
    query.set("find", text);
    history.replaceState(null, "", `${base}?${query}${location.hash}`);
    document.getElementById("found").textContent = "searching…";
    show({ find: text, from: String(from), ...(back ? { back: "1" } : {}) });
  };
  let isBack = false;
  find.addEventListener("keydown", (event) => { isBack = event.key === "Enter" && event.shiftKey; });
  find.addEventListener("submit", (event) => {
    event.preventDefault();
    search(isBack || event.submitter?.name === "back");
    isBack = false;
  });

  const edges = new IntersectionObserver((seen) => {
    for (const edge of seen) if (edge.isIntersecting) (edge.target === top ? earlier : later)();
  }, { rootMargin: "600px" });
  // An edge that stays in sight after a load tells nothing new: it is looked at again.
  const observe = () => { for (const edge of [top, bottom]) { edges.unobserve(edge); edges.observe(edge); } };
  addEventListener("scroll", () => { clearTimeout(observe.timer); observe.timer = setTimeout(observe, 120); }, { passive: true });

  describe();
  if (location.hash) goToHash();
  else if (log.dataset.start === "end") scrollTo(0, document.documentElement.scrollHeight);
  observe();
}

// --- Beginning ---------------------------------------------------------------------------------------------------------

setClock();
tick();
const log = document.getElementById("log");
if (log) logPage(log);
follow();
let seconds = setInterval(tick, 1000);

document.addEventListener("visibilitychange", () => {
  clearInterval(seconds);
  if (document.hidden) {
    leave();
  } else {
    tick();
    seconds = setInterval(tick, 1000);
    follow();
  }
});
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => {
  if (event.persisted) follow();
});
