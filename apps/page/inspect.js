"use strict";
(() => {
  const blocks = data.blocks;
  const lasts = blocks.filter((b) => b.last_of_stage);
  const first = lasts[lasts.length - 1].name;
  const of = (name) => blocks.find((b) => b.name === name);
  const classes = blocks[0].figure.classes.map((c) => c.class);
  const shown = new Set(classes.filter((_, i) => i % Math.max(1, Math.ceil(classes.length / 4)) === 0).slice(0, 4));

  function channelAxis(block) {
    return { labels: block.figure.channels.map(String) };
  }
  function line(label, values, i, more = {}) {
    const c = i < 0 ? css("--text") : colour(i);
    return { label, data: values, borderColor: c, backgroundColor: c, borderWidth: i < 0 ? 2.5 : 1.6,
      borderDash: i < 0 ? [6, 3] : [], pointRadius: 0, pointHitRadius: 8, tension: 0, ...more };
  }
  const range = (block) => [block.histogram.low, block.histogram.low === 0 && block.histogram.high === 4 ? undefined : block.histogram.high];

  const blockAxis = () => axis("block", { ticks: { autoSkip: blocks.length > 20 } });

  /* Figure 6. */
  const six = { block: first, every: false };
  const figure6 = chart(() => {
    const block = of(six.block), [min, max] = six.every ? range(block) : [undefined, undefined];
    const series = block.figure.classes.map((c, i) => [c, i]).filter(([c]) => shown.has(c.class))
      .map(([c, i]) => line(c.class, c.mean, i));
    series.push(line("all classes", block.figure.all.mean, -1));
    return { type: "line", data: { ...channelAxis(block), datasets: series },
      options: { interaction: { mode: "index", intersect: false },
        scales: { x: axis("channel"), y: axis("mean gate", { min, max }) } } };
  }, "Mean gate of sampled channels, a line per class");
  const minis = lasts.map((block) => {
    const one = chart(() => ({ type: "line",
      data: { ...channelAxis(block), datasets: [...block.figure.classes.map((c, i) => [c, i]).filter(([c]) => shown.has(c.class))
        .map(([c, i]) => line(c.class, c.mean, i)), line("all classes", block.figure.all.mean, -1)] },
      options: { plugins: { legend: { display: false } }, scales: { x: axis("", { display: false }), y: axis("", { min: range(block)[0], max: range(block)[1] }) } } }),
    "Mean gates of " + block.name, true);
    return { ...one, figure: make("figure", {}, make("figcaption", {}, make("b", {}, block.name)), one.box) };
  });
  const blockOptions = blocks.map((b) => [b.name, b.name + (b.last_of_stage ? " (last of its stage)" : "")]);
  const classTicks = make("fieldset", {}, make("legend", {}, "Classes"), ...classes.map((name, i) => tick(name, shown.has(name), (on) => {
    if (on) shown.add(name); else shown.delete(name);
    figure6.draw(); minis.forEach((m) => m.draw());
  }, i)));
  const part6 = section("figure6", "Gates by class",
    "Mean gate of evenly sampled channels, at most " + Math.max(...blocks.map((b) => b.figure.channels.length)) + " of a block (figure 6 of the paper). Where the lines of the classes lie on each other, " +
    "the block treats all images alike; where they part, it depends on what is in the image.",
    make("div", { class: "controls" }, choice("Block", blockOptions, first, (v) => { six.block = v; figure6.draw(); }),
      tick("whole range of a gate", false, (on) => { six.every = on; figure6.draw(); })),
    make("div", { class: "controls" }, classTicks), figure6.box,
    make("h3", {}, "Last block of each stage, from early to late"), make("div", { class: "grid" }, ...minis.map((m) => m.figure)));

  /* Figure 7. */
  const seven = { block: first, class: classes[0] };
  const figure7 = chart(() => {
    const block = of(seven.block), i = classes.indexOf(seven.class), c = block.figure.classes[i];
    const edge = (sign) => c.mean.map((m, k) => m + sign * c.deviation[k]);
    const band = { pointRadius: 0, borderWidth: 0, backgroundColor: faded(colour(i), 0.25) };
    return { type: "line", data: { ...channelAxis(block), datasets: [
      line("mean, " + c.images + " images of " + c.class, c.mean, i),
      line("mean − deviation", edge(-1), i, { ...band, fill: false }),
      line("within one standard deviation", edge(1), i, { ...band, fill: "-1" }),
    ] }, options: { interaction: { mode: "index", intersect: false },
      plugins: { legend: { labels: { filter: (l) => l.text !== "mean − deviation" } } },
      scales: { x: axis("channel"), y: axis("gate") } } };
  }, "Mean and standard deviation of gates within a class");
  const part7 = section("figure7", "Within one class",
    "Mean and standard deviation over the images of one class (figure 7): what is left to decide inside a class.",
    make("div", { class: "controls" }, choice("Block", blockOptions, first, (v) => { seven.block = v; figure7.draw(); }),
      choice("Class", classes.map((c) => [c, c]), classes[0], (v) => { seven.class = v; figure7.draw(); })), figure7.box);

  /* By depth. */
  const depth = (label, pick, title, max) => {
    const one = chart(() => ({ type: "bar", data: { labels: blocks.map((b) => b.name.replace(/\.se$/, "")),
      datasets: [{ label, data: blocks.map(pick), backgroundColor: faded(colour(0), 0.85), borderRadius: 4 }] },
    options: { plugins: { legend: { display: false } }, scales: { x: blockAxis(), y: axis(title, { min: 0, suggestedMax: max }) } } }), label);
    return make("figure", {}, make("figcaption", {}, make("b", {}, label)), one.box);
  };
  const partDepth = section("depth", "Does the class matter, by depth",
    "Share: of the variance of a block's gates over images, the part that lies between classes (ω²; 0 means class-agnostic). " +
    "Nearest mean: how often the gates alone tell the class of an image that was not used for the class means; chance is " + percent(1 / data.classes) + ".",
    make("div", { class: "grid wide" }, depth("Share of variance between classes (%)", (b) => 100 * b.class_share, "%", 10),
      depth("Class told from the gates alone (%)", (b) => 100 * b.nearest_mean, "%", 20)));

  /* Histograms and counts. */
  const histograms = blocks.map((block) => {
    const h = block.histogram, total = h.counts.reduce((a, b) => a + b, 0), width = (h.high - h.low) / h.counts.length;
    const one = chart(() => ({ type: "bar", data: { labels: h.counts.map((_, i) => (h.low + width * (i + 0.5)).toFixed(2)),
      datasets: [{ label: "gates (%)", data: h.counts.map((n) => 100 * n / total), backgroundColor: colour(2), barPercentage: 1, categoryPercentage: 0.94 }] },
    options: { plugins: { legend: { display: false } }, scales: { x: axis("", { grid: { display: false } }), y: axis("", { ticks: { maxTicksLimit: 4 } }) } } }),
    "Histogram of the gates of " + block.name, true);
    return make("figure", {}, make("figcaption", {}, make("b", {}, block.name), " mean " + block.mean.toFixed(2) + ", spread " + block.deviation.toFixed(3)), one.box);
  });
  const partHistograms = section("histograms", "Values of the gates",
    "How often (%) a gate has which value, over all images and channels. The spread is the deviation over images.", make("div", { class: "grid" }, ...histograms));

  const count = (n, of) => n === 0 ? "0" : n + " (" + percent(n / of, 0) + ")";
  const partCounts = section("counts", "Dead, saturated and stuck channels",
    "Dead: within " + data.margin + " of 0 on every image. Saturated: within " + data.margin + " of 1 on every image. Stuck: neither, but the standard deviation over images is below " +
    data.stuck_deviation + ". Such a gate could be a constant.",
    table("Counts of channels", ["block", "channels", "dead", "saturated", "stuck", "mean gate", "spread"],
      [...blocks.map((b) => [b.name, number(b.counts.channels), count(b.counts.dead, b.counts.channels), count(b.counts.saturated, b.counts.channels),
        count(b.counts.stuck, b.counts.channels), b.mean.toFixed(3), b.deviation.toFixed(4)]),
      ["all", number(data.counts.channels), count(data.counts.dead, data.counts.channels), count(data.counts.saturated, data.counts.channels),
        count(data.counts.stuck, data.counts.channels), "", ""]]));

  /* Importance. */
  const kinds = [["one", "by 1"], ["mean", "by their mean"], ["zero", "by 0"]];
  const importanceChart = chart(() => ({ type: "bar", data: { labels: blocks.map((b) => b.name.replace(/\.se$/, "")),
    datasets: kinds.slice(0, 2).map(([key, text], i) => ({ label: text, data: blocks.map((b) => 100 * b.importance.replaced_by[key].difference), backgroundColor: colour(i), borderRadius: 3 })) },
  options: { interaction: { mode: "index", intersect: false }, scales: { x: blockAxis(), y: axis("change of top-1 (points)") } } }), "Change of accuracy when the gates of a block are replaced");
  const delta = (r) => {
    if (!r) return "";
    const clear = Math.abs(r.difference) > 1.96 * r.error;
    return make("span", {}, make("span", { class: clear ? (r.difference < 0 ? "bad" : "good") : "" }, (100 * r.difference).toFixed(2)),
      make("span", { class: "pm" }, " ± " + (100 * r.error).toFixed(2)));
  };
  const importanceRow = (name, w) => [name, number(w.parameters), percent(w.parameters / data.parameters, 2), number(w.multiply_adds), ...kinds.map(([key]) => delta(w.replaced_by[key]))];
  const partImportance = section("importance", "How much each block matters",
    "Change of top-1, in points, on " + number(data.replacements.images) + " images (" + percent(data.replacements.top1, 2) + " as it is) when the gates of a block are replaced. " +
    "By 1: as if its SE were removed. By their mean: SE as a constant, which costs nothing to run. By 0: the residual branch removed. ± is the standard error, coloured where the change exceeds 1.96 of it. " +
    "Nothing is retrained.",
    importanceChart.box,
    table("How much blocks matter", ["block", "parameters", "of all", "multiply-adds", ...kinds.map((k) => k[1])],
      [...blocks.map((b) => importanceRow(b.name, b.importance)), ...data.groups.map((g) => importanceRow(g.name + " (" + g.units + " blocks)", g))]));

  /* Images. */
  function bytes(text) { return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)); }
  function picture(look, withHeat) {
    const im = look.image, pixels = bytes(im.pixels), scale = 4;
    const canvas = make("canvas", { class: "picture", role: "img", width: im.width * scale, height: im.height * scale,
      "aria-label": withHeat ? "Grad-CAM of " + look.top5[0].class + " over " + look.name : look.name });
    const small = make("canvas", { width: im.width, height: im.height }), c = small.getContext("2d");
    const out = c.createImageData(im.width, im.height);
    for (let p = 0; p < im.width * im.height; ++p)
      for (let k = 0; k < 4; ++k) out.data[4 * p + k] = k === 3 ? 255 : pixels[p * im.channels + (im.channels === 3 ? k : 0)];
    c.putImageData(out, 0, 0);
    const to = canvas.getContext("2d");
    to.imageSmoothingEnabled = false;
    to.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (withHeat) {
      const h = look.heat, warm = make("canvas", { width: h.width, height: h.height }), w = warm.getContext("2d");
      const map = w.createImageData(h.width, h.height);
      h.values.forEach((v, p) => map.data.set([255, Math.round(230 * v * v), 0, Math.round(190 * v)], 4 * p));
      w.putImageData(map, 0, 0);
      to.imageSmoothingEnabled = true;
      to.imageSmoothingQuality = "high";
      to.drawImage(warm, 0, 0, canvas.width, canvas.height);
    }
    return canvas;
  }
  const looks = data.explanations.map((look, n) => {
    const state = { block: blocks.length - 1 };
    const gates = chart(() => ({ type: "bar", data: { labels: look.gates[state.block].map((_, i) => String(i)),
      datasets: [{ label: "gate", data: look.gates[state.block], backgroundColor: colour(3), barPercentage: 1, categoryPercentage: 1 }] },
    options: { plugins: { legend: { display: false } }, scales: { x: axis("", { grid: { display: false } }), y: axis("", { min: range(blocks[0])[0], max: range(blocks[0])[1], ticks: { maxTicksLimit: 3 } }) } } }),
    "Gates of " + look.name, true);
    const pictures = make("div", { class: "pictures" }, make("figure", {}, picture(look, false)));
    if (look.heat) pictures.append(make("figure", {}, picture(look, true)));
    return make("div", { class: "look" }, make("h3", {}, look.label || look.name), make("span", { class: "quiet" }, look.label ? look.name : ""), pictures,
      make("ul", { class: "bars", "aria-label": "Top 5" }, ...look.top5.map((g) => make("li", { class: g.class === look.label ? "right" : undefined, style: "--share:" + (100 * g.probability).toFixed(1) + "%" },
        make("span", {}, g.class), make("span", {}, percent(g.probability))))),
      choice("Gates of", blocks.map((b, i) => [String(i), b.name]), String(state.block), (v) => { state.block = Number(v); gates.draw(); }), gates.box);
  });
  const parts = [part6, part7, partDepth, partHistograms, partCounts, partImportance];
  if (looks.length) parts.push(section("images", "Single images",
    "Each image, where the network looked for its first guess (Grad-CAM on the map before the last pool), its five first guesses, and its gates.",
    make("div", { class: "grid" }, ...looks)));
  show("The gates of " + data.model, data.data + "; " + data.checkpoint + ", after epoch " + data.epoch,
    [tile(percent(data.top1, 2), "top-1 on " + number(data.images) + " images"), tile(String(blocks.length), "SE blocks, " + number(data.counts.channels) + " gates an image"),
      tile(short(data.parameters), "parameters; SE " + percent(data.groups[data.groups.length - 1].parameters / data.parameters, 2)),
      tile(short(data.multiply_adds), "multiply-adds per image"),
      tile(data.counts.dead + " / " + data.counts.saturated + " / " + data.counts.stuck, "dead / saturated / stuck channels")], parts,
    ["By class", "Within a class", "Depth", "Values", "Dead and stuck", "Importance", "Images"]);
})();
