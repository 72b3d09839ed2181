"use strict";
(() => {
  const names = data.classes.map((c) => c.class), few = names.length <= 40;
  const share = (v) => v === null ? "–" : percent(v);

  /* A bar a class: recall, and precision beside it. */
  const order = { by: "top-1" };
  const keys = { "top-1": "recall", precision: "precision", name: "class" };
  const sorted = () => [...data.classes].filter((c) => c.images > 0).sort((a, b) =>
    order.by === "name" ? a.class.localeCompare(b.class) : a[keys[order.by]] - b[keys[order.by]]).slice(0, 40);
  const bars = chart(() => {
    const list = sorted();
    const bar = (label, key, i) => ({ label, backgroundColor: order.by === "name" || keys[order.by] === key ? colour(i) : faded(colour(i), 0.45), data: list.map((c) => 100 * c[key]) });
    return { type: "bar", data: { labels: list.map((c) => c.class), datasets: [bar("top-1 (recall)", "recall", 0), bar("precision", "precision", 1)] },
      options: { scales: { x: axis("class", { ticks: { autoSkip: false, maxRotation: 90 } }), y: axis("%", { min: 0, max: 100 }) } } };
  }, "Top-1 and precision of every class");

  /* Rows the labels, columns what they were taken for, darker the larger the share of the row. */
  function heat() {
    const rows = data.confusion.map((row, label) => {
      const all = Math.max(1, row.reduce((a, b) => a + b, 0));
      return make("tr", {}, make("th", { scope: "row" }, names[label]), ...row.map((n, as) => {
        const part = n / all;
        return make("td", { class: "heat", title: n + " of " + names[label] + " as " + names[as],
          style: "background: color-mix(in srgb, " + (label === as ? "var(--good)" : "var(--bad)") + " " + Math.round(100 * Math.sqrt(part)) + "%, transparent)" }, n > 0 ? String(n) : "");
      }));
    });
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusions" },
      make("table", { class: "heatmap" }, make("thead", {}, make("tr", {}, make("th", {}, "is / taken for"), ...names.map((n) => make("th", { scope: "col" }, n)))), make("tbody", {}, ...rows)));
  }
  function pairs() {
    const list = [];
    data.confusion.forEach((row, label) => row.forEach((n, as) => { if (n > 0 && label !== as) list.push([label, as, n]); }));
    list.sort((a, b) => b[2] - a[2]);
    return table("Pairs", ["images", "of", "label", "taken for"], list.slice(0, 30).map(([l, a, n]) =>
      [String(n), String(data.classes[l].images), names[l], names[a]]), [2, 3]);
  }

  function picture(m) {
    const raw = atob(m.pixels), canvas = make("canvas", { role: "img", "aria-label": m.image, width: m.width, height: m.height, class: "thumb" });
    const out = new ImageData(m.width, m.height);
    for (let p = 0; p < m.width * m.height; ++p)
      for (let k = 0; k < 4; ++k) out.data[4 * p + k] = k === 3 ? 255 : raw.charCodeAt(p * m.channels + (m.channels === 3 ? k : 0));
    canvas.getContext("2d").putImageData(out, 0, 0);
    return make("figure", { class: "mistake" }, canvas, make("figcaption", {}, make("b", {}, m.prediction + " " + percent(m.probability, 0)), make("br"),
      "labelled " + m.label + " (" + percent(m.of_label, 0) + ")", make("br"), make("span", { class: "quiet" }, m.image)));
  }

  const model = data.models.map((m) => m.model).join(", ");
  const sections = [section("classes", "Classes", few ? "" : "The forty that come first.",
    make("div", { class: "controls" }, choice("Sorted by", Object.keys(keys).map((k) => [k, k]), order.by, (v) => { order.by = v; bars.draw(); })), bars.box,
    table("Classes", ["class", "images", "top-1", "precision", "F1"], data.classes.map((c) => [c.class, number(c.images), share(c.recall), share(c.precision), share(c.f1)]), [0]))];
  const jumps = ["Classes"];
  if (data.confusion) {
    sections.push(section("confusion", "Confusions", "Which classes were taken for which. In the map rows are what images are, columns what they were taken for.",
      ...(few ? [heat()] : []), pairs()));
    jumps.push("Confusions");
  }
  sections.push(section("mistakes", "Most confident mistakes", data.mistakes.length ? "Where the network was surest and the label says otherwise: hard images, and wrong labels." : "There are none.",
    make("div", { class: "mistakes" }, ...data.mistakes.map(picture))));
  jumps.push("Mistakes");
  show("Evaluation", model + " on " + data.data,
    [tile(percent(data.top1, 2), "top-1"), tile(percent(data.top5, 2), "top-5"), tile(data.loss.toFixed(4), "loss"), tile(percent(data.macro_recall, 2), "mean top-1 of classes"), tile(number(data.images), "images")],
    sections, jumps);
})();
