"use strict";
// The theme, the menu, copy buttons, language tabs and the search. Pages can be read without this script.

const root = document.documentElement;

function remembered(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* Storage is switched off. */ }
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Theme: the button changes to the theme that is not shown.
document.querySelector(".theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  remember("theme", next);
});

// Menu of narrow screens.
const menu = document.querySelector(".contents");
menu.addEventListener("click", () => {
  const isOpen = document.body.classList.toggle("open");
  menu.setAttribute("aria-expanded", String(isOpen));
});
document.querySelector("#nav [aria-current]")?.scrollIntoView({ block: "nearest" });

// Copy buttons.
for (const block of document.querySelectorAll(".code")) {
  const button = element("button", { type: "button", className: "copy", textContent: "Copy" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}

// Language tabs: one choice for all examples of all pages.
const groups = [...document.querySelectorAll(".examples")].map((group) => {
  const blocks = [...group.querySelectorAll(".code")];
  const list = element("div", { className: "tablist", role: "tablist" });
  list.setAttribute("aria-label", "Language");
  const tabs = blocks.map((block) => {
    const tab = element("button", { type: "button", textContent: block.dataset.label });
    tab.setAttribute("role", "tab");
    block.setAttribute("role", "tabpanel");
    tab.addEventListener("click", () => choose(block.dataset.label, tab));
    list.append(tab);
    return tab;
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
  group.prepend(list);
  return { blocks, tabs };
});

function choose(label, origin) {
  const before = origin?.getBoundingClientRect().top;
  for (const { blocks, tabs } of groups) {
    const index = Math.max(blocks.findIndex((block) => block.dataset.label === label), 0);
    blocks.forEach((block, position) => { block.hidden = position !== index; });
    tabs.forEach((tab, position) => {
      tab.setAttribute("aria-selected", String(position === index));
      tab.tabIndex = position === index ? 0 : -1;
    });
  }
  // Examples above may have changed their height; what the reader looks at stays in place.
  if (origin) {
    scrollBy(0, origin.getBoundingClientRect().top - before);
    remember("language", label);
  }
}
choose(remembered("language") || "curl");

// Search: the index is loaded once, when the reader first looks for something.
const input = document.querySelector(".search input");
const results = document.querySelector(".results");
let parts;
let chosen = -1;

async function index() {
  parts ??= fetch(root.dataset.search).then((answer) => answer.json()).then((list) => list.map((part) => ({
    ...part, heading: part.title.toLowerCase(), words: `${part.page} ${part.title} ${part.text}`.toLowerCase(),
  })));
  return parts;
}

function score(part, terms) {
  let sum = 0;
  for (const term of terms) {
    const place = part.words.indexOf(term);
    if (place < 0) return 0;
    sum += part.heading === term ? 20 : part.heading.includes(term) ? 8 : 1;
    if (part.page === part.title && part.heading.includes(term)) sum += 4;
  }
  return sum;
}

function excerpt(part, term) {
  const place = Math.max(part.text.toLowerCase().indexOf(term), 0);
  const start = Math.max(part.text.lastIndexOf(" ", Math.max(place - 40, 0)), 0);
  return (start ? "… " : "") + part.text.slice(start, start + 130).trim() + (part.text.length > start + 130 ? " …" : "");
}

async function search() {
  const terms = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = terms.length === 0 ? [] : (await index())
    .map((part) => ({ part, score: score(part, terms) })).filter((hit) => hit.score > 0)
    .sort((a, b) => b.score - a.score).slice(0, 12);
  chosen = -1;
  results.replaceChildren(...found.map(({ part }) => element("li", {}, element("a", { href: part.address },
    element("b", { textContent: part.title === part.page ? part.page : `${part.page} › ${part.title}` }),
    element("span", { textContent: excerpt(part, terms[0]) })))));
  if (terms.length > 0 && found.length === 0) {
    results.replaceChildren(element("li", {}, element("p", { textContent: "Nothing was found." })));
  }
  results.hidden = terms.length === 0;
}

input.addEventListener("focus", index);
input.addEventListener("input", search);
input.addEventListener("keydown", (event) => {
  const links = [...results.querySelectorAll("a")];
  if (event.key === "Escape") { input.value = ""; results.hidden = true; }
  if (event.key === "Enter") links[Math.max(chosen, 0)]?.click();
  if ((event.key !== "ArrowDown" && event.key !== "ArrowUp") || links.length === 0) return;
  event.preventDefault();
  chosen = (chosen + (event.key === "ArrowDown" ? 1 : links.length - 1) + (chosen < 0 && event.key === "ArrowUp" ? 1 : 0)) % links.length;
  links.forEach((link, position) => link.classList.toggle("chosen", position === chosen));
  links[chosen].scrollIntoView({ block: "nearest" });
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
  event.preventDefault();
  input.focus();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".search")) results.hidden = true;
});
