"use strict";
(() => {
  const names = data.categories, shown = { score: data.score, objects: true };
  const ns = "http://www.w3.org/2000/svg";
  const svg = (tag, attributes, ...children) => {
    const element = document.createElementNS(ns, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  function outline(box, category, dashed, title) {
    const [x, y, width, height] = box;
    return svg("rect", { x, y, width, height, fill: "none", stroke: colour(category), "stroke-width": "2", "vector-effect": "non-scaling-stroke",
      ...(dashed ? { "stroke-dasharray": "4 3" } : {}) }, svg("title", {}, title));
  }

  /* The picture with its boxes, and below it what they are. */
  function figure(image) {
    const found = image.found.filter((d) => d.score >= shown.score);
    const boxes = [...(shown.objects ? image.objects.map((o) => outline(o.box, o.category, true, names[o.category] + (o.crowd ? " (crowd)" : "") + ", annotated")) : []),
      ...found.map((d) => outline(d.box, d.category, false, names[d.category] + " " + percent(d.score, 0)))];
    const picture = svg("svg", { viewBox: "0 0 " + image.width + " " + image.height, class: "boxes", role: "img", "aria-label": image.image + ", " + found.length + " boxes" },
      svg("image", { href: "data:image/jpeg;base64," + image.jpeg, width: image.width, height: image.height }), ...boxes);
    const words = found.map((d) => make("span", { class: "found" }, make("span", { class: "swatch", style: "background: " + colour(d.category) }), " " + names[d.category] + " " + percent(d.score, 0) + " "));
    return make("figure", { class: "detected" }, picture, make("figcaption", {}, ...words, make("br"), make("span", { class: "quiet" }, image.image)));
  }

  const box = make("div", { class: "detections" });
  const draw = () => box.replaceChildren(...data.images.map(figure));
  page.charts.push({ draw });  // drawn anew with the theme, as charts are
  const slider = make("input", { type: "range", min: "0.05", max: "0.95", step: "0.05", value: String(shown.score), "aria-label": "Least score",
    oninput: () => { shown.score = Number(slider.value); value.textContent = percent(shown.score, 0); draw(); } });
  const value = make("output", {}, percent(shown.score, 0));
  const controls = make("div", { class: "controls" }, make("label", {}, "Boxes with a score of at least ", slider, " ", value),
    ...(data.images.some((i) => i.objects.length > 0) ? [tick("annotated ones, dashed", true, (on) => { shown.objects = on; draw(); })] : []));

  const sections = [], jumps = [];
  if (data.metrics) {
    const share = (v) => v < 0 ? "–" : percent(v, 2);
    sections.push(section("precision", "Average precision", "By the rules of COCO's evaluator; – where there is no such object.",
      table("Average precision", Object.keys(data.metrics), [Object.values(data.metrics).map(share)]),
      table("Categories", ["category", "objects", "AP", "AP50"], data.by_category.filter((c) => c.objects > 0).map((c) => [c.category, number(c.objects), share(c.AP), share(c.AP50)]), [0])));
    jumps.push("Average precision");
  }
  sections.push(section("images", "Images", data.images.length + " of " + number(data.count) + ".", controls, box));
  jumps.push("Images");
  show("Detections", data.model + " on " + data.data,
    data.metrics ? ["AP", "AP50", "AP75", "AR100"].map((name) => tile(percent(data.metrics[name], 2), name)) : [], sections, jumps);
})();
