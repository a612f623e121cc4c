"use strict";

// Every number shown stands in the data as it was stored; nothing is measured here.
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

function mark(speed, textContent, className = "") {
  const made = element("span", { textContent, className });
  made.style.setProperty("--at", speed);
  return made;
}

function tile(label) {
  const value = element("strong");
  const more = element("small");
  return { value, more, tile: element("span", {}, element("small", { textContent: label }), value, more) };
}

// Points lost, downwards, along FLOPs speedup: linear to half a point, then more and more logarithmic.
function curve(model) {
  const [width, height, left, bottom] = [300, 190, 26, 20];
  const most = Math.ceil(Math.max(...model.speedup, ...model.distilbert.map(([speedup]) => speedup)));
  const bent = (lost) => Math.asinh(lost / DATA.tolerated);
  const ends = [-DATA.tolerated, DATA.tolerated, ...model.lost, ...model.distilbert.map(([, lost]) => lost)].map(bent);
  const [high, low] = [Math.min(...ends), Math.max(...ends)];
  const x = (speedup) => left + ((width - left - 12) * speedup) / most;
  const y = (lost) => 8 + ((height - bottom - 8) * (bent(lost) - high)) / (low - high);
  const text = (content, attributes) => drawn("text", attributes, content);
  const line = (lost, name) => [
    drawn("line", { x1: left, x2: width, y1: y(lost), y2: y(lost), class: name }),
    text(lost, { x: left - 4, y: y(lost) + 4, "text-anchor": "end" }),
  ];
  const now = drawn("circle", { r: 5, class: "now" });
  const points = model.lost.map((lost, at) => `${x(model.speedup[at])},${y(lost)}`).join(" ");
  const parts = [0, DATA.tolerated, 2, 5, 20].filter((lost) => bent(lost) <= low).flatMap((lost) =>
    line(lost, lost === DATA.tolerated ? "tolerated" : ""),
  );
  parts.push(...[2, 4, 6, 8, 10, 12].filter((at) => at <= most).map((at) =>
    text(`${at}×`, { x: x(at), y: height - bottom + 14, "text-anchor": "middle" })));
  parts.push(drawn("polyline", { points, class: "curve" }));
  parts.push(...model.distilbert.map(([speedup, lost]) =>
    drawn("rect", { x: x(speedup) - 4, y: y(lost) - 4, width: 8, height: 8, class: "distilbert" })));
  if (model.chosen !== null) {
    const at = Math.round(model.chosen * 100);
    const place = { x: x(model.speedup[at]), y: y(model.lost[at]) + 6, "text-anchor": "middle", class: "star" };
    parts.push(text("★", place));
  }
  const label = "Points lost to BERT along the FLOPs speedup, with a line at half a point";
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts, now);
  const move = (at) => {
    now.setAttribute("cx", x(model.speedup[at]));
    now.setAttribute("cy", y(model.lost[at]));
  };
  return { picture, move };
}

function signed(points) {
  return points.toFixed(2).replace("-", "−");
}

function connect(place, tasks) {
  const names = Object.keys(tasks);
  const task = element("select", {}, ...names.map((name) => new Option(name)));
  const choice = element("select", {});
  const other = element("label", {}, "Model ", choice);
  const speed = element("input", { type: "range", min: 0, max: 1, step: 0.01, id: `${place.id}-speed` });
  const now = element("span");
  const label = element("label", { htmlFor: speed.id }, "Speed ", now);
  const seeds = element("span");
  const rule = element("p", { className: "rule" });
  const chosen = element("div", { className: "marks" });
  const papers = element("div", { className: "marks" }, mark(0, "0"), mark(1, "1"));
  papers.append(...DATA.paperSpeeds.map((each) => mark(each, each, "tick")));
  const lost = tile("Points lost");
  const accuracy = tile("Accuracy");
  const speedup = tile("FLOPs speedup");
  const seconds = tile("Seconds speedup");
  const layers = tile("Mean layers");
  const tiles = [lost, speedup, seconds, layers, accuracy].map((each) => each.tile);
  const output = element("output", { htmlFor: speed.id }, ...tiles);
  output.setAttribute("aria-live", "polite");
  const graph = element("div", { className: "graph" });
  const bars = element("ol", { ariaLabel: "Samples that leave at each layer" });
  let model;
  let moved;

  function show() {
    const at = Math.round(speed.value * 100);
    now.textContent = (at / 100).toFixed(2);
    const interval = `95% interval ${model.accuracy_low[at].toFixed(2)} to ${model.accuracy_high[at].toFixed(2)}`;
    accuracy.value.textContent = `${model.accuracy[at].toFixed(2)} %`;
    accuracy.more.textContent = `${interval}; ${model.right[at]} of ${model.samples} right`;
    lost.tile.hidden = model.lost === null;
    if (model.lost !== null) {
      const ends = model.paired[at];
      lost.value.textContent = signed(model.lost[at]);
      lost.more.textContent = ends ? `95% interval ${ends.map(signed).join(" to ")}` : "to BERT";
    }
    speedup.value.textContent = `${model.speedup[at].toFixed(3)} ×`;
    speedup.more.textContent = "over BERT, in the paper's unit";
    layers.value.textContent = model.mean_layers[at].toFixed(3);
    layers.more.textContent = `of ${model.exits[at].length}`;
    seconds.tile.hidden = model.seconds.length === 0;
    if (model.seconds.length > 0) {
      const far = (each) => Math.abs(Math.log(each.flops_speedup / model.speedup[at]));
      const near = model.seconds.reduce((best, each) => (far(each) < far(best) ? each : best));
      seconds.value.textContent = `${near.measured_speedup.toFixed(2)} ×`;
      seconds.more.textContent =
        `as measured where true MACs are ${near.flops_speedup.toFixed(2)} × fewer; batch ${near.batch}, ${near.device}`;
    }
    model.exits[at].forEach((samples, index) => {
      const [percent, bar] = bars.children[index].children;
      const share = (100 * samples) / model.samples;
      percent.textContent = samples && share < 0.5 ? "<1" : share.toFixed(0);
      bar.style.height = `${share * 0.75}%`;
      bars.children[index].title = `layer ${index + 1}: ${samples} of ${model.samples} samples`;
    });
    moved(at);
  }

  function select() {
    model = tasks[task.value][choice.value];
    place.style.setProperty("--look", DATA.colors[model.model]);
    const starred = model.chosen !== null;
    chosen.replaceChildren(...(starred ? [mark(model.chosen, "★", "star")] : []));
    rule.textContent =
      (starred ? `★ ${model.chosen}, chosen on dev: ${model.rule}. ` : "") +
      `Ticks: the paper's speeds. ■ DistilBERT, dashed: half a point.`;
    seeds.textContent = `${model.seeds.length > 1 ? "seeds" : "seed"} ${model.seeds.join(", ")}`;
    bars.replaceChildren(
      ...model.exits[0].map((_, index) =>
        element("li", {}, element("span"), element("i"), element("b", { textContent: index + 1 })),
      ),
    );
    const made = model.lost === null ? null : curve(model);
    graph.replaceChildren(...(made ? [element("p", { textContent: "Points lost, by FLOPs speedup" }), made.picture] : []));
    moved = made ? made.move : () => {};
    show();
  }

  function enter() {
    const models = tasks[task.value];
    choice.replaceChildren(...models.map((each, at) => new Option(each.model, at)));
    other.hidden = models.length < 2;
    speed.value = models[0].chosen ?? 0.5;
    select();
  }

  place.append(
    element("div", { className: "choice" }, element("label", {}, "Task ", task), other),
    element("div", { className: "speed" }, label, seeds),
    ...[chosen, speed, papers, rule, output],
    element("div", { className: "pictures" }, graph, element("div", { className: "graph" },
      element("p", { textContent: "Exit layer, and the share of the samples that leave there (%)" }), bars)),
  );
  task.addEventListener("change", enter);
  choice.addEventListener("change", select);
  speed.addEventListener("input", show);
  enter();
}

for (const [name, tasks] of Object.entries(DATA.sliders)) {
  connect(document.getElementById(`${name}-slider`), tasks);
}

// Headings sort; of a table's headings one is a tab stop, arrows lead to the others. Long tables have a filter.
const LONG = 15;

function sortable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const buttons = headings.map((heading, at) => {
    const button = element("button", { type: "button", tabIndex: at ? -1 : 0 }, ...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.ariaSort === "ascending" ? -1 : 1;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.ariaSort = down > 0 ? "ascending" : "descending";
      const value = (row) => row.cells[at].textContent;
      const order = (one, two) => parseFloat(one) - parseFloat(two) || one.localeCompare(two);
      const rows = [...body.rows].sort((one, two) =>
        !value(one) - !value(two) || down * order(value(one), value(two)));
      body.append(...rows);
    });
    return button;
  });
  table.tHead.addEventListener("keydown", (event) => {
    const next = buttons[buttons.indexOf(document.activeElement) + { ArrowLeft: -1, ArrowRight: 1 }[event.key]];
    if (next) {
      buttons.forEach((each) => (each.tabIndex = each === next ? 0 : -1));
      next.focus();
      event.preventDefault();
    }
  });
}

function filtered(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < LONG) return;
  const words = element("input", { type: "search", placeholder: `filter ${rows.length} rows` });
  words.ariaLabel = `Filter: ${table.caption.textContent}`;
  words.addEventListener("input", () => {
    const wanted = words.value.toLowerCase().split(/\s+/);
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    });
  });
  table.parentElement.before(words);
}

document.querySelectorAll("table").forEach((table) => {
  sortable(table);
  filtered(table);
});

// Paper has no folds.
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
