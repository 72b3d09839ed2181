// Search over the index that scripts/make_site.py wrote (index.js), the theme, and the menu on narrow screens.
(() => {
  const root = document.documentElement, up = document.body.dataset.up;
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  const show = (theme) => { root.dataset.theme = theme; document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark"; };
  show(kept || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => {
    show(root.dataset.theme === "dark" ? "light" : "dark");
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a browser that keeps nothing for files */ }
  });
  document.getElementById("menu").addEventListener("click", () => document.querySelector("aside").classList.toggle("open"));

  const query = document.getElementById("query"), found = document.getElementById("found");
  // An entry is [address, title, page, text]; a word counts most in a title, and a word's beginning more than its middle.
  const worth = (entry, word) => {
    const title = entry[1].toLowerCase(), text = entry[3].toLowerCase();
    if (title === word) return 40;
    if (title.startsWith(word)) return 20;
    if (title.includes(word)) return 12;
    const at = text.indexOf(word);
    return at < 0 ? 0 : at === 0 || !/\w/.test(text[at - 1]) ? 4 : 1;
  };
  const search = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    found.replaceChildren();
    if (!words.length) return;
    const hits = [];
    for (const entry of SEARCH) {
      let sum = 0;
      for (const word of words) { const w = worth(entry, word); if (!w) { sum = 0; break; } sum += w; }
      if (sum) hits.push([sum, entry]);
    }
    hits.sort((a, b) => b[0] - a[0]);
    for (const [, [address, title, page, text]] of hits.slice(0, 12)) {
      const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = up + address;
      const name = document.createElement("b"), rest = document.createElement("span");
      name.textContent = title; rest.textContent = page + ": " + text.slice(at, at + 110);
      link.append(name, rest); item.append(link); found.append(item);
    }
    if (!hits.length) { const item = document.createElement("li"); item.textContent = "nothing found"; found.append(item); }
  };
  query.addEventListener("input", search);
  query.form.addEventListener("submit", (event) => { event.preventDefault(); found.querySelector("a")?.click(); });
  document.addEventListener("keydown", (event) => {
    const links = [...found.querySelectorAll("a")], at = links.indexOf(document.activeElement);
    if (event.key === "/" && document.activeElement !== query) { event.preventDefault(); query.focus(); }
    if (event.key === "Escape") { query.value = ""; search(); }
    if (event.key === "ArrowDown" && links.length && (at >= 0 || document.activeElement === query)) { event.preventDefault(); links[Math.min(at + 1, links.length - 1)].focus(); }
    if (event.key === "ArrowUp" && at >= 0) { event.preventDefault(); (at ? links[at - 1] : query).focus(); }
  });
  document.body.dataset.ready = "true";
})();
