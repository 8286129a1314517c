"use strict";

// The page of app.py: one WebSocket, who is on it, and what is said. What others have written is put into the page
// with textContent, never as HTML.

const FIRST_DELAY = 500; // milliseconds to the first attempt to reconnect; each further one waits twice as long
const LONGEST_DELAY = 15_000;
const MOST_ENTRIES = 500; // kept in the conversation, so that a long night on the line does not slow the page down

const byId = (id) => document.getElementById(id);
const nameInput = byId("name");
const textInput = byId("text");
const choices = byId("choices");
const log = byId("log");

let socket = null; // null when the visitor has not connected, or has left
let retry = 0; // the timer of the next attempt
let attempts = 0; // that failed since the last welcome
let me = null; // this connection's id, once welcomed
let people = new Map(); // everyone here: name by id
let recipient = null; // {id, name} of the one to talk to; null is everyone

// The connection

function connect() {
  const query = new URLSearchParams(location.search); // /?desg=commissioner is for the server
  query.set("name", nameInput.value.trim());
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/web_socket?${query}`);
  socket.addEventListener("message", hear);
  socket.addEventListener("close", reconnect);
}

function hear(event) {
  if (event.target !== socket) return; // the visitor has left
  const message = JSON.parse(event.data);
  receive[message.type]?.(message);
}

function reconnect(event) {
  if (event.target !== socket) return;
  if (event.code === 1000) {
    leave("The server has hung up");
    return;
  }
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
  welcome({ id, name }) {
    me = id;
    attempts = 0;
    setState("online", `Connected as ${name}`);
  },
  people(message) {
    people = new Map(message.people.map(({ id, name }) => [id, name]));
    showPeople();
  },
  joined({ id, name }) {
    people.set(id, name);
    showPeople();
    show("event", id === me ? "You are on the line" : `${name} has joined`);
  },
  left({ id, name }) {
    people.delete(id);
    showPeople();
    show("event", `${name} has left`);
  },
  message({ from, name, text, to }) {
    const who = from === me ? "You" : name;
    const whom = from === me ? people.get(to) : "you";
    show(`message${from === me ? " mine" : ""}${to ? " private" : ""}`, text, who, to ? `privately to ${whom}` : "");
  },
  announcement({ text }) {
    show("announcement", text, "Announcement");
  },
  notice({ text }) {
    show("event", text);
  },
  error({ text }) {
    show("error", text, "Not understood");
  },
};

// What the visitor sees

function show(kind, text, who = "", note = "") {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  const entry = byId("entry").content.cloneNode(true).firstElementChild;
  entry.className = kind;
  entry.querySelector(".who").textContent = who;
  entry.querySelector(".note").textContent = note;
  entry.querySelector("time").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  entry.querySelector(".text").textContent = text;
  log.append(entry);
  if (log.childElementCount > MOST_ENTRIES) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function forgetPeople() {
  me = null;
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
  showRecipient();
}

function choose(someone) {
  recipient = someone;
  showPeople(); // without one who was kept only for having been talked to
}

function showRecipient() {
  const gone = me !== null && recipient !== null && !people.has(recipient.id);
  for (const { firstElementChild: input } of choices.children) {
    input.checked = input.value === (recipient?.id ?? "");
    input.parentElement.classList.toggle("gone", gone && input.checked);
  }
  let label = recipient ? `Private message to ${recipient.name}` : "Message to everyone";
  if (gone) label = `${recipient.name} has left: choose whom to talk to`;
  byId("text-label").textContent = label;
  byId("say-form").classList.toggle("private", recipient !== null);
  byId("send").disabled = !me || gone;
}

// What the visitor does

byId("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setState("waiting", "Connecting…");
  textInput.focus();
  connect();
});

byId("say-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = textInput.value.trim();
  if (!text) return;
  socket.send(JSON.stringify({ type: "say", text, ...(recipient && { to: recipient.id }) }));
  textInput.value = "";
});

byId("disconnect").addEventListener("click", () => leave("You have hung up"));

addEventListener("online", () => {
  if (document.body.dataset.state === "waiting" && socket.readyState === WebSocket.CLOSED) {
    clearTimeout(retry);
    connect();
  }
});

nameInput.value = new URLSearchParams(location.search).get("name") ?? "";
showPeople();
