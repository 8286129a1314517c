"use strict";

// The page of app.py: one WebSocket, who is on it, and what is said. What others have written is put into the page
// with textContent, never as HTML.

const FIRST_DELAY = 500; // milliseconds to the first attempt to reconnect; each further one waits twice as long
const LONGEST_DELAY = 15_000;
const PAGE_LEFT = 4000; // the codes of app.py's Close frames
const TAKEN_OVER = 4001;
const MOST_ENTRIES = 500; // kept in the conversation, so that a long night on the line does not slow the page down

const byId = (id) => document.getElementById(id);
const nameInput = byId("name");
const textInput = byId("text");
const choices = byId("choices");
const log = byId("log");
const invitation = byId("invitation");

let page = newId(); // which of the browser's pages this is: with a cookie it proves that a name was this page's
let name = ""; // the one wished for, then the one given
let socket = null; // null when the visitor has not connected, or has left
let retry = 0; // the timer of the next attempt
let attempts = 0; // that failed since the last welcome
let me = null; // this visitor's id, once welcomed; the same after a lost connection
let people = new Map(); // everyone here: name by id; empty while not connected
let recipient = null; // {id, name} of the one to talk to; null is everyone
let atEnd = true; // whether the newest entry is in view
let unread = 0; // messages that have come while it was not

// The connection

function connect() {
  const query = new URLSearchParams(location.search); // /?desg=commissioner is for the server
  query.set("name", name);
  query.set("page", page);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/web_socket?${query}`);
  socket.addEventListener("message", hear);
  socket.addEventListener("close", reconnect);
}

function newId() {
  return crypto.getRandomValues(new Uint32Array(3)).join("-"); // `randomUUID` is there with https only
}

function hear(event) {
  if (event.target !== socket) return; // the visitor has left
  const message = JSON.parse(event.data);
  receive[message.type]?.(message);
}

function reconnect(event) {
  if (event.target !== socket) return;
  if (event.code === 1000) return leave("The server has hung up. Goodbye!");
  if (event.code === TAKEN_OVER) return leave("You are on the line in another window");
  if (attempts === 0) show("event", me ? "The connection is lost" : "Nobody answers");
  forgetPeople();
  setState("waiting", "Reconnecting…");
  // A little at random, so that not everyone is back in the same instant after a restart.
  const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempts) * (0.75 + Math.random() / 4);
  attempts += 1;
  retry = setTimeout(connect, delay);
}

function leave(status) {
  clearTimeout(retry);
  socket?.close(1000);
  socket = null;
  attempts = 0;
  recipient = null;
  me = null;
  forgetPeople();
  setState("offline", status);
  nameInput.focus();
}

function setState(state, status) {
  const offline = state === "offline";
  document.body.dataset.state = state;
  byId("status").textContent = status;
  byId("join").hidden = !offline;
  byId("chat").hidden = offline;
  byId("disconnect").hidden = offline;
  showRecipient();
}

// What the server says, by type

const receive = {
  welcome(person) {
    const back = person.id === me;
    me = person.id;
    name = person.name;
    attempts = 0;
    setState("online", `Connected as ${name}`);
    show("event", back ? "You are back on the line" : "You are on the line");
  },
  people(message) {
    people = new Map(message.people.map((person) => [person.id, person.name]));
    showPeople();
  },
  joined(person) {
    if (people.size === 0) return; // it is oneself, or somebody of the list that comes next
    // Who is here already has another connection now, perhaps because a page was loaded again.
    if (!people.has(person.id)) show("event", `${person.name} has joined`);
    people.set(person.id, person.name);
    showPeople();
  },
  left(person) {
    if (people.delete(person.id)) show("event", `${person.name} has left`);
    showPeople();
  },
  message({ from, name, text, to }) {
    const who = from === me ? "You" : name;
    const whom = from === me ? people.get(to) : "you";
    show(`message${from === me ? " mine" : ""}${to ? " private" : ""}`, text, who, to ? `privately to ${whom}` : "");
  },
  announcement({ text }) {
    show("announcement", text, "Announcement");
  },
  error({ text }) {
    show("error", text, "Not understood");
  },
};

// What the visitor sees

function show(kind, text, who = "", note = "") {
  const entry = byId("entry").content.cloneNode(true).firstElementChild;
  entry.className = kind;
  entry.querySelector(".who").textContent = who;
  entry.querySelector(".note").textContent = note;
  entry.querySelector("time").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  entry.querySelector(".text").textContent = text;
  invitation.before(entry);
  if (log.childElementCount > MOST_ENTRIES) log.firstElementChild.remove();
  if (atEnd || entry.matches(".mine")) showNewest();
  else if (kind !== "event") showUnread(unread + 1);
}

function showNewest() {
  log.scrollTop = log.scrollHeight;
  atEnd = true;
  showUnread(0);
}

function showUnread(count) {
  unread = count;
  byId("unread").hidden = count === 0;
  byId("unread").textContent = `${count} new message${count === 1 ? "" : "s"}`;
}

function forgetPeople() {
  people.clear();
  showPeople();
}

// Those who stay keep their elements, and so the keyboard's focus. The one who is talked to stays after leaving too:
// what was meant for one must not go to everyone.
function showPeople() {
  const wanted = new Map([["", "Everyone"], ...people]);
  if (recipient && !people.has(recipient.id)) wanted.set(recipient.id, recipient.name);
  for (const choice of [...choices.children]) {
    if (!wanted.delete(choice.firstElementChild.value)) choice.remove();
  }
  for (const [id, name] of wanted) {
    const choice = byId("choice").content.cloneNode(true).firstElementChild;
    const input = choice.firstElementChild;
    input.value = id;
    input.disabled = id === me;
    choice.querySelector(".name").textContent = id === me ? `${name} (you)` : name;
    input.addEventListener("change", () => choose(id ? { id, name } : null));
    choices.append(choice);
  }
  const own = choices.querySelector(":disabled");
  if (own) choices.append(own.parentElement);
  invitation.hidden = people.size !== 1;
  byId("second").href = `?name=${name.toLowerCase() === "gordon" ? "batman" : "gordon"}`;
  if (atEnd) showNewest();
  showRecipient();
}

function choose(someone) {
  recipient = someone;
  showPeople(); // without one who was kept only for having been talked to
}

function showRecipient() {
  const gone = people.size > 0 && recipient !== null && !people.has(recipient.id);
  for (const { firstElementChild: input } of choices.children) {
    input.checked = input.value === (recipient?.id ?? "");
    input.parentElement.classList.toggle("gone", gone && input.checked);
  }
  let label = recipient ? `Private message to ${recipient.name}` : "Message to everyone";
  if (gone) label = `${recipient.name} has left: choose whom to talk to`;
  byId("text-label").textContent = label;
  byId("say-form").classList.toggle("private", recipient !== null);
  byId("send").disabled = people.size === 0 || gone;
}

// What the visitor does

function call(wish) {
  name = wish;
  setState("waiting", "Connecting…");
  textInput.focus();
  connect();
}

byId("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  call(nameInput.value.trim());
});

byId("say-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = textInput.value.trim();
  if (!text) return;
  socket.send(JSON.stringify({ type: "say", text, ...(recipient && { to: recipient.id }) }));
  textInput.value = "";
});

byId("disconnect").addEventListener("click", () => leave("You have hung up. Goodbye!"));

addEventListener("online", () => {
  if (document.body.dataset.state === "waiting" && socket.readyState === WebSocket.CLOSED) {
    clearTimeout(retry);
    connect();
  }
});

byId("unread").addEventListener("click", () => {
  showNewest();
  log.focus();
});

log.addEventListener("scroll", () => {
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  if (atEnd) showUnread(0);
});

new ResizeObserver(() => atEnd && showNewest()).observe(log); // a telephone's keyboard comes and goes

// A page that is loaded again goes on as who it was. The browser keeps that only from one page to the next: a tab that
// is duplicated meanwhile is somebody else.

const KEPT = "gotham-line";

function storage() {
  try {
    return sessionStorage;
  } catch {
    return null; // the visitor's browser keeps nothing
  }
}

addEventListener("pagehide", () => {
  storage()?.setItem(KEPT, JSON.stringify({ page, ...(socket && { name, href: location.href }) }));
  socket?.close(PAGE_LEFT);
});

addEventListener("pageshow", () => storage()?.removeItem(KEPT));

const kept = JSON.parse(storage()?.getItem(KEPT) ?? "{}");
page = kept.page ?? page;
nameInput.value = new URLSearchParams(location.search).get("name") ?? kept.name ?? "";
showPeople();
if (kept.href === location.href) call(kept.name);
