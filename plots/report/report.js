"use strict";

// Every number shown stands in the data as it was stored; nothing is measured here.
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
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

function connect(place, models) {
  const speed = element("input", { type: "range", min: 0, max: 1, step: 0.01, id: `${place.id}-speed` });
  const now = element("span");
  const label = element("label", { htmlFor: speed.id }, "Speed ", now);
  const choice = element("select", {}, ...models.map((each, at) => new Option(each.model, at)));
  const chosen = element("div", { className: "marks" });
  const legend = element("span");
  const papers = element("div", { className: "marks" }, mark(0, "0"), mark(1, "1"));
  papers.append(...DATA.paperSpeeds.map((each) => mark(each, each, "tick")));
  const seeds = element("span");
  const accuracy = tile("Accuracy");
  const speedup = tile("FLOPs speedup");
  const layers = tile("Mean layers");
  const output = element("output", { htmlFor: speed.id }, accuracy.tile, speedup.tile, layers.tile);
  output.setAttribute("aria-live", "polite");
  const bars = element("ol", { ariaLabel: "Samples that leave at each layer" });

  function show() {
    const model = models[choice.value];
    const at = Math.round(speed.value * 100);
    now.textContent = (at / 100).toFixed(2);
    accuracy.value.textContent = `${model.accuracy[at].toFixed(2)} %`;
    accuracy.more.textContent =
      `95% interval ${model.accuracy_low[at].toFixed(2)} to ${model.accuracy_high[at].toFixed(2)}; ` +
      `${model.right[at]} of ${model.samples} right`;
    speedup.value.textContent = `${model.speedup[at].toFixed(3)} ×`;
    speedup.more.textContent = "over the dense teacher";
    layers.value.textContent = model.mean_layers[at].toFixed(3);
    layers.more.textContent = `of ${model.exits[at].length}`;
    model.exits[at].forEach((samples, index) => {
      const [percent, bar] = bars.children[index].children;
      const share = (100 * samples) / model.samples;
      percent.textContent = samples && share < 0.1 ? "<0.1" : share.toFixed(1);
      bar.style.height = `${share * 0.75}%`;
      bars.children[index].title = `layer ${index + 1}: ${samples} of ${model.samples} samples`;
    });
  }

  function select() {
    const model = models[choice.value];
    place.style.setProperty("--color", DATA.colors[model.model]);
    chosen.replaceChildren(...(model.chosen === null ? [] : [mark(model.chosen, "★", "star")]));
    legend.textContent = (model.chosen === null ? "" : `★ ${model.chosen}, chosen on dev; `) + "ticks: the paper's speeds";
    seeds.textContent = `${model.seeds.length > 1 ? "seeds" : "seed"} ${model.seeds.join(", ")}`;
    bars.replaceChildren(
      ...model.exits[0].map((_, index) =>
        element("li", {}, element("span"), element("i"), element("b", { textContent: index + 1 })),
      ),
    );
    show();
  }

  place.append(
    ...(models.length > 1 ? [element("label", { className: "model" }, "Model", choice)] : []),
    element("div", { className: "speed" }, label, legend, seeds),
    chosen,
    speed,
    papers,
    output,
    element("p", { textContent: "Exit layer, and the share of the samples that leave there (%)" }),
    bars,
  );
  speed.value = models[0].chosen ?? 0.5;
  choice.value = 0;
  speed.addEventListener("input", show);
  choice.addEventListener("change", select);
  select();
}

for (const [id, models] of Object.entries(DATA.sliders)) {
  connect(document.getElementById(id), models);
}
