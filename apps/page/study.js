"use strict";
(() => {
  const variants = data.variants, shown = new Set(variants.map((_, i) => i));
  const charts = [];
  const of = (values) => {
    const n = Math.min(...values.map((v) => v.length));
    return [...Array(n).keys()].map((e) => { const at = values.map((v) => v[e]); return { mean: at.reduce((a, b) => a + b) / at.length, low: Math.min(...at), high: Math.max(...at) }; });
  };
  function curve(label, key, title, error) {
    const one = chart(() => {
      const datasets = [], y = (v) => error ? 100 * (1 - v) : v;
      for (const i of shown) {
        const points = of(variants[i].runs.map((r) => r[key])), c = colour(i), none = { borderWidth: 0, pointRadius: 0, pointHitRadius: 0, backgroundColor: faded(c, 0.18) };
        datasets.push({ label: variants[i].title, borderColor: c, backgroundColor: c, borderWidth: 2, pointRadius: points.length < 3 ? 3 : 0, data: points.map((p, n) => ({ x: n + 1, y: y(p.mean) })) });
        datasets.push({ label: "", ...none, fill: false, data: points.map((p, n) => ({ x: n + 1, y: y(p.low) })) });
        datasets.push({ label: "", ...none, fill: "-1", data: points.map((p, n) => ({ x: n + 1, y: y(p.high) })) });
      }
      return { type: "line", data: { datasets }, options: { interaction: { mode: "nearest", axis: "x", intersect: false },
        plugins: { legend: { labels: { filter: (l) => l.text !== "" } }, tooltip: { filter: (t) => t.dataset.label !== "" } },
        scales: { x: axis("epoch", { type: "linear", min: 1 }), y: axis(title) } } };
    }, label);
    charts.push(one);
    return make("figure", {}, make("figcaption", {}, make("b", {}, label)), one.box);
  }
  const errors = chart(() => ({ type: "scatter", data: { datasets: variants.map((v, i) => ({ label: v.title, backgroundColor: faded(colour(i), 0.75), borderColor: colour(i), pointRadius: 6,
    data: v.errors.map((e) => ({ x: e, y: i })) })) }, options: { plugins: { legend: { display: false }, tooltip: { callbacks: { label: (t) => t.dataset.label + ": " + t.parsed.x.toFixed(2) + " %" } } },
    scales: { x: axis("test error after the last epoch (%), a dot a seed"), y: axis("", { min: -0.6, max: variants.length - 0.4, reverse: true, ticks: { stepSize: 1, callback: (v) => Number.isInteger(v) && variants[v] ? variants[v].title : "" } }) } } }), "Test error of every seed");
  const reference = variants.find((v) => v.name === data.reference);
  const heads = data.heads;
  show(data.title, data.facts, [tile(String(variants.length * data.seeds), "runs"), tile(reference.mean_error.toFixed(2) + " %", "test error of the reference, " + reference.title)],
    [section("table", "Result", data.method + (data.note ? " " + data.note : ""), table("Result", heads, variants.map((v) => v.cells), [heads.length - 1]), data.paper ? make("p", { class: "quiet" }, "Paper: " + data.paper + ".") : ""),
      section("seeds", "Every seed", "How far apart runs of the same network end.", errors.box),
      section("curves", "Training curves", "Means over the seeds; the bands reach from the lowest to the highest.",
        make("div", { class: "controls" }, make("fieldset", {}, make("legend", {}, "Networks"), ...variants.map((v, i) => tick(v.title, true, (on) => { if (on) shown.add(i); else shown.delete(i); charts.forEach((c) => c.draw()); }, i)))),
        make("div", { class: "grid wide" }, curve("Test error (%)", "test_top1", "%", true), curve("Train error (%)", "train_top1", "%", true), curve("Test loss", "test_loss", "loss"), curve("Train loss", "train_loss", "loss"))),
      section("how", "How it was made", "", make("p", {}, make("code", {}, data.command)))], ["Result", "Seeds", "Curves", "How"]);
})();
