"use strict";
(() => {
  const runs = data.runs, longest = Math.max(...data.runs.map((r) => r.epochs)), shown = new Set(runs.map((_, i) => i));
  const charts = [];
  function curve(label, lines, title, more = {}) {
    const one = chart(() => {
      const datasets = [];
      for (const i of shown)
        for (const [key, name, dashed] of lines)
          datasets.push({ label: runs[i].run + (lines.length > 1 ? ", " + name : ""), borderColor: colour(i), backgroundColor: colour(i), borderWidth: 1.8,
            borderDash: dashed ? [5, 4] : [], pointRadius: runs[i].epochs < 3 ? 3 : 0, pointHitRadius: 8, data: runs[i].curves[key].map((v, n) => ({ x: n + 1, y: more.error ? 100 * (1 - v) : v })) });
      return { type: "line", data: { datasets }, options: { interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x: axis("epoch", { type: "linear", min: 1, max: longest > 1 ? undefined : 2, ticks: { precision: 0, maxRotation: 0 } }), y: axis(title, { type: more.log && state.log ? "logarithmic" : "linear" }) } } };
    }, label);
    charts.push(one);
    return make("figure", {}, make("figcaption", {}, make("b", {}, label)), one.box);
  }
  /* Every setting in which runs differ, "schedule.lr", and its value in each. */
  function differences() {
    const flat = (value, path, out) => {
      if (value && typeof value === "object" && !Array.isArray(value))
        for (const key of Object.keys(value)) flat(value[key], path ? path + "." + key : key, out);
      else out[path] = JSON.stringify(value);
      return out;
    };
    const all = runs.map((r) => flat(r.recipe, "", {}));
    const keys = [...new Set(all.flatMap((one) => Object.keys(one)))].filter((k) => k !== "data.dir" && !k.startsWith("paper"));
    return keys.filter((k) => new Set(all.map((one) => one[k])).size > 1).map((k) => [k, ...all.map((one) => one[k] ?? "–")]);
  }
  const state = { log: false };
  const redraw = () => charts.forEach((c) => c.draw());
  const controls = make("div", { class: "controls" }, make("fieldset", {}, make("legend", {}, "Runs"),
    ...runs.map((r, i) => tick(r.run, true, (on) => { if (on) shown.add(i); else shown.delete(i); redraw(); }, i))),
    tick("losses on a logarithmic scale", false, (on) => { state.log = on; redraw(); }));
  const on = [...new Set(runs.map((r) => r.measured_on))].sort().join(" or ");
  const minutes = (s) => s < 5400 ? (s / 60).toFixed(1) + " min" : (s / 3600).toFixed(2) + " h";
  const best = runs.reduce((a, b) => b.best_top1 > a.best_top1 ? b : a);
  const more = [], differ = runs.length > 1 ? differences() : [], changed = runs.flatMap((r) => (r.changes || []).map((c) => [r.run, c]));
  if (differ.length)
    more.push(section("settings", "What differs", "Settings in which these runs are not alike.",
      table("Settings", ["setting", ...runs.map((r) => r.run)], differ, [0, ...runs.map((_, i) => i + 1)])));
  if (changed.length)
    more.push(section("changes", "Changed course", "What was changed while a run was under way.",
      table("Changes", ["run", "from epoch", "step", "setting", "was", "is", "when"], changed.map(([run, c]) =>
        [run, String(c.epoch), String(c.step), c.key, c.from, c.to, c.time]), [3, 4, 5, 6])));
  show("Training runs", runs.map((r) => r.run).join(", "),
    [tile(String(runs.length), runs.length === 1 ? "run" : "runs"), tile(percent(best.best_top1, 2), "best " + on + " top-1, " + best.run),
      tile(minutes(runs.reduce((a, r) => a + r.seconds, 0)), "of training and testing")],
    [section("curves", "Curves", "Solid: " + on + ". Dashed: train, with augmentation.", controls, make("div", { class: "grid wide" },
      curve("Loss", [["test_loss", on], ["train_loss", "train", true]], "loss", { log: true }),
      curve("Top-1 error (%)", [["test_top1", on], ["train_top1", "train", true]], "%", { error: true }),
      curve("Learning rate of the last step", [["lr", ""]], "rate"),
      curve("Speed", [["images_per_second", ""]], "images/s"))),
    section("table", "In numbers", "Figures of " + on + " images after the last epoch, and the best of all epochs.",
      table("Runs", ["run", "model", "epochs", "seed", "train loss", on + " loss", on + " top-1", "best", "epoch of it", "images/s", "time"],
        runs.map((r) => [r.run, r.model, r.epochs + " of " + r.of_epochs, String(r.seed), r.train_loss.toFixed(4), r.test_loss.toFixed(4), percent(r.test_top1, 2), percent(r.best_top1, 2),
          String(r.best_epoch), Math.round(r.images_per_second).toLocaleString("en-US"), minutes(r.seconds)]), [1])),
    ...more], ["Curves", "Numbers", ...more.map((s) => s.id === "settings" ? "Settings" : "Changes")]);
})();
