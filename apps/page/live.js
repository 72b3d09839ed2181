"use strict";
/* A run as it goes: what its folder has is asked for twice a second, and drawn where something is new. */
(() => {
  const state = { steps: [], epochs: new Map(), gates: [], units: [], plan: null, at: { log: 0, live: 0 }, chosen: null, by: "step", asked: 0 };
  page.live = state;  // for tests
  const on = () => ["test", "val"].find((k) => [...state.epochs.values()].some((e) => e[k + "_top1"] !== undefined)) || "test";
  const perEpoch = () => state.plan ? state.plan.steps_per_epoch : 1;
  const where = (step) => state.plan ? step / perEpoch() : step;

  /* At most so many points of a line: every k-th, and the last. */
  function thinned(list, most = 1200) {
    const k = Math.ceil(list.length / most);
    return k <= 1 ? list : list.filter((_, i) => i % k === 0 || i === list.length - 1);
  }
  const charts = [];
  function curve(label, title, lines, more = {}) {
    const one = chart(() => ({ type: "line", data: { datasets: lines().map(([name, points, dots], i) => ({ label: name, data: points, borderColor: colour(i), backgroundColor: colour(i),
        borderWidth: 1.6, pointRadius: dots ? 3 : 0, pointHitRadius: 8 })) },
      options: { interaction: { mode: "nearest", axis: "x", intersect: false }, plugins: { legend: { display: lines().length > 1 } },
        scales: { x: axis("epoch", { type: "linear", min: 0, max: state.plan ? state.plan.epochs : undefined }), y: axis(title, more) } } }), label);
    charts.push(one);
    return make("figure", {}, make("figcaption", {}, make("b", {}, label)), one.box);
  }
  const ofSteps = (key, f = (v) => v) => thinned(state.steps).map((s) => ({ x: where(s.step), y: f(s[key]) }));
  const ofEpochs = (key, f = (v) => v) => [...state.epochs.values()].map((e) => ({ x: e.epoch, y: f(e[key]) })).filter((p) => Number.isFinite(p.y));
  const both = (key, f) => state.steps.length ? [["train, so far in the epoch", ofSteps(key, f)]] : [["train", ofEpochs("train_" + key, f), true]];

  /* Gates: one small picture for each unit, the chosen time over the first. */
  const units = make("div", { class: "grid" });
  function unitPicture(name, i) {
    const canvas = make("canvas", { role: "img", "aria-label": "Gates of " + name, style: "width:100%;height:120px" });
    const text = make("span", { class: "quiet" });
    const draw = () => {
      const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth || 240, h = 120;
      canvas.width = w * ratio; canvas.height = h * ratio;
      const c = canvas.getContext("2d");
      c.scale(ratio, ratio);
      c.strokeStyle = css("--grid");
      for (const g of [0, 0.5, 1]) { c.beginPath(); c.moveTo(0, 4 + (1 - g) * (h - 8)); c.lineTo(w, 4 + (1 - g) * (h - 8)); c.stroke(); }
      const line = (values, stroke, width) => {
        c.strokeStyle = stroke; c.lineWidth = width; c.beginPath();
        values.forEach((v, k) => c.lineTo(values.length > 1 ? k * w / (values.length - 1) : w / 2, 4 + (1 - Math.min(1, Math.max(0, v))) * (h - 8)));
        c.stroke();
      };
      if (!state.gates.length) return;
      const shown = state.gates[position()].gates[i];
      line(state.gates[0].gates[i], faded(colour(5), 0.5), 1);
      line(shown, colour(0), 1.6);
      text.textContent = " mean " + (shown.reduce((a, b) => a + b, 0) / shown.length).toFixed(3) + ", from " + Math.min(...shown).toFixed(2) + " to " + Math.max(...shown).toFixed(2);
    };
    page.charts.push({ canvas, draw });
    return make("figure", {}, make("figcaption", {}, make("b", {}, name), text), canvas);
  }

  /* Back in time. */
  const slider = make("input", { type: "range", id: "time", min: 0, max: 0, value: 0, step: 1, style: "width:min(34rem,60vw)", oninput: () => { choose(Number(slider.value)); } });
  const told = make("output", { for: "time" });
  const positions = () => state.by === "step" ? state.gates.map((_, i) => i) :
    state.gates.map((_, i) => i).filter((i) => i === state.gates.length - 1 || state.gates[i].epoch !== state.gates[i + 1].epoch);
  const position = () => state.chosen === null ? state.gates.length - 1 : Math.min(state.chosen, state.gates.length - 1);
  function choose(value) {
    const list = positions();
    state.chosen = value >= list.length - 1 ? null : list[value];
    drawGates();
  }
  function drawGates() {
    const list = positions();
    slider.max = Math.max(0, list.length - 1);
    slider.value = state.chosen === null ? slider.max : Math.max(0, list.findIndex((i) => i >= state.chosen));
    const now = state.gates[position()];
    told.textContent = now ? "step " + number(now.step) + ", epoch " + now.epoch + (state.chosen === null ? " (newest)" : "") : "";
    slider.setAttribute("aria-valuetext", told.textContent);
    if (units.childElementCount !== state.units.length) {
      page.charts = page.charts.filter((one) => !units.contains(one.canvas));
      units.replaceChildren(...state.units.map(unitPicture));
    }
    for (const one of page.charts) if (units.contains(one.canvas)) one.draw();
  }
  const controls = make("div", { class: "controls" }, make("label", { for: "time" }, "Time"), slider, told,
    choice("by", [["step", "step"], ["epoch", "epoch"]], "step", (value) => { state.by = value; state.chosen = null; drawGates(); }),
    make("button", { type: "button", onclick: () => { state.chosen = null; drawGates(); } }, "Newest"));
  const none = make("p", { class: "quiet" }, "No gates were kept: the run was not trained with --live, or has no such units.");

  /* News. */
  const live = make("b", { role: "status" }, "…");
  const tiles = ["epoch", "train loss", "top-1", "learning rate", "images/s"].map((label) => tile("–", label));
  const set = (i, text) => { tiles[i].firstChild.textContent = text; };
  function take(answer) {
    const { log, live: lines } = answer;
    if (log.again) state.epochs.clear();
    if (lines.again) { state.steps = []; state.gates = []; }
    for (const e of log.lines) state.epochs.set(e.epoch, e);
    for (const line of lines.lines) {
      if (line.started) {
        state.plan = line.started;
        state.units = line.started.units;
        state.steps = state.steps.filter((s) => s.step <= line.started.first_step);  // what a resume does again
        state.gates = state.gates.filter((s) => s.step <= line.started.first_step);
        continue;
      }
      state.steps.push(line);
      if (line.gates) state.gates.push(line);
    }
    state.at = { log: log.next, live: lines.next };
    return log.lines.length + lines.lines.length > 0 || log.again || lines.again;
  }
  function draw() {
    const last = state.steps.at(-1), epoch = [...state.epochs.values()].at(-1), epochs = state.plan ? state.plan.epochs : data.recipe.epochs;
    const done = epoch && epoch.epoch >= epochs;
    set(0, (done || !last ? (epoch ? epoch.epoch : 0) : last.epoch) + " / " + epochs);
    if (last || epoch) {
      set(1, (last ? last.loss : epoch.train_loss).toFixed(4));
      set(2, epoch ? percent(epoch[on() + "_top1"], 2) + " " + on() : percent(last.top1) + " train");
      set(3, Number((last ? last.lr : epoch.lr).toPrecision(3)).toString());
      set(4, number(Math.round((last || epoch).images_per_second)));
    }
    for (const one of charts) one.draw();
    none.hidden = state.gates.length > 0;
    controls.hidden = state.gates.length === 0;
    drawGates();
    state.drawn = last ? last.step : 0;
  }
  async function ask() {
    try {
      let news = false, answer;
      do {
        const reply = await fetch("data?log=" + state.at.log + "&live=" + state.at.live);
        if (!reply.ok) throw new Error(reply.status);
        answer = await reply.json();
        var more = take(answer);
        news = news || more;
      } while (more);
      if (news || !state.asked) draw();
      const epochs = state.plan ? state.plan.epochs : data.recipe.epochs;
      live.textContent = state.epochs.has(epochs) ? "finished" : news ? "under way" : live.textContent === "…" ? "waiting for a step" : live.textContent;
      state.asked += 1;
      document.body.dataset.asked = state.asked;
    } catch (error) {
      live.textContent = "the program has ended; exciton watch " + data.run + " shows this again";
      setTimeout(ask, 3000);
      return;
    }
    setTimeout(ask, 400);
  }

  const model = data.recipe.model ? data.recipe.model.name : "";
  show("Training " + data.run.replace(/\/+$/, "").split("/").at(-1), make("span", {}, model + ", ", live), tiles,
    [section("curves", "Curves", "Lines follow the steps, dots are epochs.", make("div", { class: "grid wide" },
      curve("Loss", "loss", () => [...both("loss"), [on(), ofEpochs(on() + "_loss"), true]]),
      curve("Top-1 (%)", "%", () => [...both("top1", (v) => 100 * v), [on(), ofEpochs(on() + "_top1", (v) => 100 * v), true]]),
      curve("Learning rate", "rate", () => [["rate", state.steps.length ? ofSteps("lr") : ofEpochs("lr"), !state.steps.length]]),
      curve("Speed", "images/s", () => [["images/s", state.steps.length ? ofSteps("images_per_second") : ofEpochs("images_per_second"), !state.steps.length]]))),
    section("gates", "Gates", "The mean gate of each channel over the newest batch, from 0 at the bottom to 1 at the top; pale: as the run began.", controls, none, units)],
    ["Curves", "Gates"]);
  document.querySelector("footer").textContent = "Made by exciton, which serves this page to this machine alone. Charts: Chart.js (MIT).";
  ask();
})();
