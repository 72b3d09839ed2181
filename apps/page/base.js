"use strict";
/* What all pages share: the data, elements, colours of both themes, charts that follow them. */
const data = JSON.parse(document.getElementById("data").textContent);
const page = { errors: [], charts: [] };
window.addEventListener("error", (event) => page.errors.push(String(event.message)));

/** make("p", {class: "quiet"}, "text", otherElement) */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "checked") element.checked = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/* Okabe and Ito's colours, which people with any colour vision tell apart; darker or lighter for
   the ground they stand on. */
const palettes = {
  light: ["#0072b2", "#d55e00", "#009e73", "#b5518f", "#a07a00", "#546e7a", "#7a4a2b", "#6a5acd", "#7d8a00", "#c2185b"],
  dark: ["#56b4e9", "#ff9d5c", "#3fd6a8", "#f0a0d0", "#f0c94a", "#b0bec5", "#d8a98a", "#b3a7ff", "#c9d64f", "#ff80ab"],
};
const theme = () => document.documentElement.dataset.theme;
const colour = (i) => palettes[theme()][i % palettes[theme()].length];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");

const number = (v) => v === null || v === undefined ? "–" : v.toLocaleString("en-US");
const percent = (v, digits = 1) => (100 * v).toFixed(digits) + " %";
function short(v) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]])
    if (v >= size) return (v / size).toPrecision(3) + " " + unit;
  return String(v);
}

/** A chart in a box of its own. `config()` is asked again when the theme or a control changes. */
function chart(config, label, low = false) {
  const canvas = make("canvas", { role: "img", "aria-label": label });
  const box = make("div", { class: low ? "chart low" : "chart" }, canvas);
  const one = { canvas, config, chart: null };
  one.draw = () => {
    if (one.chart) one.chart.destroy();
    Chart.defaults.color = css("--quiet");
    Chart.defaults.borderColor = css("--grid");
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    one.chart = new Chart(canvas, one.config());
  };
  page.charts.push(one);
  return { box, draw: () => one.draw() };
}

function axis(title, more = {}) {
  return { title: { display: title !== "", text: title }, ticks: { maxRotation: 0, autoSkipPadding: 12 }, ...more };
}

/** A select with its label; `changed` gets the chosen value. */
function choice(label, options, chosen, changed) {
  const select = make("select", { onchange: () => changed(select.value) });
  for (const [value, text] of options)
    select.append(make("option", { value, selected: value === chosen }, text));
  return make("label", {}, label + " ", select);
}

function tick(text, checked, changed, index) {
  const box = make("input", { type: "checkbox", checked, onchange: () => changed(box.checked) });
  const parts = [box];
  if (index !== undefined) parts.push(make("span", { class: "swatch", "data-colour": index }));
  return make("label", {}, ...parts, text);
}

/** rows of cells (strings or elements); `text` names the columns that are not numbers. */
function table(caption, heads, rows, text = []) {
  const row = (cells, tag) => make("tr", {}, ...cells.map((cell, i) =>
    make(tag, { class: text.includes(i) ? "text" : undefined, scope: tag === "th" ? "col" : undefined }, cell)));
  const body = make("tbody", {}, ...rows.map((cells) => row(cells, "td")));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {}, make("thead", {}, row(heads, "th")), body));
}

function tile(value, label) { return make("div", { class: "tile" }, make("b", {}, value), make("span", {}, label)); }

function section(id, title, lead, ...children) {
  return make("section", { id, "aria-labelledby": id + "-title" }, make("h2", { id: id + "-title" }, title),
    make("p", { class: "lead" }, lead), ...children);
}

function paint(name) {
  document.documentElement.dataset.theme = name;
  for (const one of page.charts) one.draw();
  for (const mark of document.querySelectorAll("[data-colour]"))
    mark.style.background = colour(Number(mark.dataset.colour));
}

/** Puts the page together: a bar to jump with (`names` of the sections there), a head, sections, a foot. */
function show(title, subtitle, tiles, sections, names) {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));
  const button = make("button", { type: "button", id: "theme", style: "margin-left:auto",
    onclick: () => paint(theme() === "dark" ? "light" : "dark") }, "Light / dark");
  document.body.append(
    make("a", { class: "skip", href: "#main" }, "Skip to the content"),
    make("nav", { "aria-label": "Sections" }, make("div", { class: "inner" }, make("b", {}, "Exciton"),
      ...sections.map((s, i) => make("a", { href: "#" + s.id }, names[i])), button)),
    make("main", { id: "main", tabindex: "-1" }, make("h1", {}, title), make("p", { class: "lead" }, subtitle),
      tiles.length ? make("div", { class: "tiles" }, ...tiles) : "", ...sections),
    make("footer", { class: "inner" }, "Made by exciton. This file needs no network and may be passed on as it is. Charts: Chart.js (MIT)."));
  paint(theme());
  document.body.dataset.ready = String(page.errors.length === 0);
}
