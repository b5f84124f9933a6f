"use strict";
// The page's state is the chosen answer token (0: the whole answer), the chosen band of layers, and whether the picture's grid
// or its thumbnail is shown; everything is drawn from these and the data (report_data.cc writes it).
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const percent = (share, digits = 2) => `${(100 * share).toFixed(digits)} %`;
const MILLION = 1e6;

function element(name, attributes = {}, ...children) {
  const svg = ["svg", "rect", "path", "line", "text", "title", "circle"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// "VAR_VARIANT_AUTHORS_CODE" -> "authors code"
const plain = (name, prefix) => name.replace(prefix, "").toLowerCase().replaceAll("_", " ");

// ---- Answers ------------------------------------------------------------------------------------------------------------

// Marks the words of `text` that are in no longest common subsequence with `other`. True if there are any.
function markChanges(target, text, other) {
  const words = text.split(/(?<=\s)/), others = other.split(/(?<=\s)/);
  if (words.length * others.length > 4e6) {  // too long to compare
    target.append(text);
    return text !== other;
  }
  const same = (i, j) => words[i].trim() === others[j].trim();
  const common = Array.from({length: words.length + 1}, () => new Uint16Array(others.length + 1));
  for (let i = words.length - 1; i >= 0; --i) {
    for (let j = others.length - 1; j >= 0; --j) {
      common[i][j] = same(i, j) ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  let changed = false;
  for (let i = 0, j = 0; i < words.length;) {
    if (j < others.length && same(i, j)) {
      target.append(words[i++]);
      ++j;
    } else if (j < others.length && common[i][j + 1] >= common[i + 1][j]) {
      ++j;
    } else {
      target.append(element("mark", {}, words[i++]));
      changed = true;
    }
  }
  return changed;
}

function showAnswers() {
  document.title = `VAR: ${data.question}`;
  byId("question").textContent = data.question;
  byId("subtitle").textContent = `${data.model.name}, ${data.model.dtype} on ${data.model.device}; prompt of ` +
      `${data.prompt_tokens} tokens, ${data.visual_tokens} of them visual`;
  const changedOff = markChanges(byId("answer-off"), data.off.text, data.on.text);
  const changedOn = markChanges(byId("answer-on"), data.on.text, data.off.text);
  byId("answers-differ").textContent = changedOff || changedOn ? "Words that only one of the two answers has are marked." :
                                                                 "Both answers are the same.";
  for (const mode of ["off", "on"]) {
    const answer = data[mode];
    byId(`usage-${mode}`).textContent =
        `${answer.tokens} tokens, ${answer.seconds.toFixed(2)} s, ended by ${plain(answer.finish_reason, "FINISH_REASON_")}`;
  }
}

// ---- State --------------------------------------------------------------------------------------------------------------

const state = {step: 0, band: 0, view: "grid"};
const steps = data.bands[0].before.length;

// The chosen grid, and what the names of its data begin with.
const chosenGrid = () => data[state.view];
const prefix = () => state.view === "thumbnail" ? "thumbnail_" : "";

// Attention of the chosen token, or the mean over the answer; in millionths, one number per cell.
function chosenMap(kind) {
  const maps = data.bands[state.band][prefix() + kind];
  if (state.step > 0) return maps[state.step - 1];
  const mean = new Array(chosenGrid().rows * chosenGrid().columns).fill(0);
  for (const map of maps) map.forEach((value, cell) => { mean[cell] += value / maps.length; });
  return mean;
}

// Cell -> number of layers of the chosen band in which it is a sink, and its largest phi.
function chosenSinks() {
  const {first, last} = data.bands[state.band];
  const sinks = new Map();
  for (const layer of data.layers) {
    if (layer.layer < first || layer.layer > last) continue;
    for (const [row, column, phi] of layer[`${prefix()}cells`]) {
      const cell = row * chosenGrid().columns + column;
      const known = sinks.get(cell) ?? {layers: 0, phi: 0};
      sinks.set(cell, {layers: known.layers + 1, phi: Math.max(known.phi, phi)});
    }
  }
  return sinks;
}

const bandName = (band) => band.first === band.last ? `layer ${band.first}` : `layers ${band.first} to ${band.last}`;
// Tokens begin with the space before their word; those of spaces alone show as such.
const tokenText = (token) => token === null ? "(end)" : token.replaceAll("\n", "\u21b5").trim() || "\u2423";

function choose(change) {
  Object.assign(state, change);
  byId("step").value = state.step;
  byId("band").value = state.band;
  if (change.view !== undefined) showPictures();
  draw();
}

function showControls() {
  const slider = byId("step");
  slider.max = steps;
  slider.addEventListener("input", () => choose({step: Number(slider.value)}));
  const select = byId("band");
  data.bands.forEach((band, i) => {
    select.append(element("option", {value: i}, i === 0 ? `All: ${bandName(band)}` : bandName(band)));
  });
  select.addEventListener("change", () => choose({band: Number(select.value)}));
  byId("views").hidden = data.thumbnail.rows === 0;
  byId("view").addEventListener("change", () => choose({view: byId("view").value}));
  for (const id of ["show-sinks", "scale-others"]) byId(id).addEventListener("change", draw);
  byId("truncated").hidden = !data.maps_truncated;

  // The slider is the way for the keyboard; the buttons are for pointers.
  const names = ["whole answer", ...data.steps.map((step) => tokenText(step.token))];
  names.forEach((name, i) => {
    const button = element("button", {type: "button", tabindex: -1}, name);
    button.addEventListener("click", () => choose({step: i}));
    byId("tokens").append(button);
  });
}

function drawControls() {
  const step = data.steps[state.step - 1];
  const name = state.step === 0 ? "the whole answer, mean" :
      `${state.step} of ${steps}, \u201c${tokenText(step.token)}\u201d` +
          (step.redistributed === undefined ? "" :
               `: ${percent(step.redistributed)} redistributed, picture ${percent(step.before, 1)} \u2192 ` +
               `${percent(step.after, 1)}`);
  byId("step-name").textContent = name;
  byId("step").setAttribute("aria-valuetext", name);
  [...byId("tokens").children].forEach((button, i) => button.setAttribute("aria-pressed", i === state.step));
}

// ---- Totals and setting -------------------------------------------------------------------------------------------------

function fillTable(table, rows) {
  table.append(element("tbody", {}, ...rows.map(([name, value]) =>
      element("tr", {}, element("td", {}, name), element("td", {}, String(value))))));
}

function showTables() {
  const {totals, setting} = data;
  fillTable(byId("totals"), [
    ["Rows per layer", totals.rows], ["Visual sinks per layer", totals.visual_sinks.toFixed(2)],
    ["Text sinks per layer", totals.text_sinks.toFixed(2)], ["Distinct visual sinks", totals.distinct_visual_sinks],
    ["Image-centric heads", percent(totals.image_centric)], ["Redistributed attention", percent(totals.redistributed)],
    ["Visual attention before", percent(totals.before)], ["Visual attention after", percent(totals.after)],
  ]);
  const number = (value) => Number(value.toPrecision(6));
  fillTable(byId("setting"), [
    ["Variant", plain(setting.variant, "VAR_VARIANT_")], ["Preset", plain(setting.preset, "VAR_PRESET_")],
    ["tau, threshold of phi", number(setting.tau)], ["rho, minimum share on non-sinks", number(setting.rho)],
    ["p, share moved", number(setting.p)], ["Minimum visual attention", number(setting.min_visual_attention)],
    ["Layers", `${setting.first_layer} to ${setting.last_layer}`],
  ]);
  byId("layer-table").append(
      element("thead", {}, element("tr", {}, ...["Layer", "Visual sinks", "Text sinks", "Image-centric heads",
          "Redistributed", "Visual before", "Visual after"].map((name) => element("th", {scope: "col"}, name)))),
      element("tbody", {}, ...data.layers.map((layer) => element("tr", {}, ...[
        layer.layer, layer.visual_sinks, layer.text_sinks, percent(layer.image_centric), percent(layer.redistributed),
        percent(layer.before), percent(layer.after)].map((value) => element("td", {}, String(value)))))));
}

function draw() {
  drawControls();
  drawPictures();
  drawCharts();
}
