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

const methodName = data.setting.map(({method}) => method.toUpperCase()).join(" + ");

// What the data have; the page hides the rest.
const has = {
  maps: data.bands.length > 0, sinks: data.sinks_known, layers: data.layers.length > 0,
  contrast: data.totals.contrasted_tokens !== undefined,
  ...Object.fromEntries(data.setting.map(({method}) => [method, true])),
};

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
  document.title = `${methodName}: ${data.question}`;
  byId("method").textContent = has.var && data.setting.length === 1 ? "Visual Attention Redistribution" : methodName;
  for (const place of document.getElementsByClassName("method")) place.textContent = methodName;
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
const steps = data.steps.length;

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
          (step.redistributed === undefined ? "" : `: ${percent(step.redistributed)} redistributed`) +
          (step.before === undefined ? "" : `, picture ${percent(step.before, 1)} \u2192 ${percent(step.after, 1)}`);
  byId("step-name").textContent = name;
  byId("step").setAttribute("aria-valuetext", name);
  [...byId("tokens").children].forEach((button, i) => button.setAttribute("aria-pressed", i === state.step));
}

// ---- Totals and setting -------------------------------------------------------------------------------------------------

function fillTable(table, rows) {
  table.append(element("tbody", {}, ...rows.map(([name, value]) =>
      element("tr", {}, element("td", {}, name), element("td", {}, String(value))))));
}

// [key, name, how it is written]
const TOTALS = [
  ["rows", "Rows per layer", String], ["visual_sinks", "Visual sinks per layer", (value) => value.toFixed(2)],
  ["text_sinks", "Text sinks per layer", (value) => value.toFixed(2)],
  ["distinct_visual_sinks", "Distinct visual sinks", String], ["image_centric", "Image-centric heads", percent],
  ["redistributed", "Redistributed attention", percent], ["changed_heads", "Changed heads", percent],
  ["before", "Visual attention before", percent], ["after", "Visual attention after", percent],
  ["contrasted_tokens", "Contrasted tokens", String], ["changed_tokens", "Tokens that the contrast changed", String],
  ["plausible_tokens", "Plausible tokens, mean", (value) => value.toFixed(2)],
];
const OPTIONS = {
  variant: "Variant", preset: "Preset", tau: "tau, threshold of phi", rho: "rho, minimum share on non-sinks",
  p: "p, share moved", min_visual_attention: "Minimum visual attention",
};
const LAYER_COLUMNS = [
  ["layer", "Layer", String], ["visual_sinks", "Visual sinks", String], ["text_sinks", "Text sinks", String],
  ["image_centric", "Image-centric heads", percent], ["redistributed", "Redistributed", percent],
  ["changed_heads", "Changed heads", percent], ["before", "Visual before", percent], ["after", "Visual after", percent],
];

function optionText(value) {
  if (typeof value === "string") return value.startsWith("VAR_") ? plain(value, /^VAR_(VARIANT|PRESET)_/) : value;
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

function optionRows({method, options}) {
  const {first_layer: first, last_layer: last, ...others} = options;
  const names = [...new Set([...Object.keys(OPTIONS), ...Object.keys(others)])].filter((name) => others[name] !== undefined);
  const rows = names.map((name) => [OPTIONS[name] ?? name, optionText(others[name])]);
  if (first !== undefined) rows.push(["Layers", `${first} to ${last}`]);
  return data.setting.length === 1 ? rows : rows.map(([name, value]) => [`${method.toUpperCase()}: ${name}`, value]);
}

function showTables() {
  const known = (columns, values) => columns.filter(([key]) => values[key] !== undefined);
  fillTable(byId("totals"), known(TOTALS, data.totals).map(([key, name, text]) => [name, text(data.totals[key])]));
  fillTable(byId("setting"), data.setting.flatMap(optionRows));
  if (!has.layers) return;
  const columns = known(LAYER_COLUMNS, data.layers[0]);
  byId("layer-table").append(
      element("thead", {}, element("tr", {}, ...columns.map(([, name]) => element("th", {scope: "col"}, name)))),
      element("tbody", {}, ...data.layers.map((layer) => element("tr", {}, ...columns.map(([key, , text]) =>
          element("td", {}, text(layer[key])))))));
}

function hideWhatIsNotKnown() {
  byId("attention").hidden = !has.maps;
  byId("layers").hidden = !has.layers;
  byId("sink-checks").hidden = byId("sinks-summary").hidden = !has.sinks;
  for (const part of document.querySelectorAll("[data-needs]")) part.hidden = !has[part.dataset.needs];
}

function draw() {
  if (has.maps) {
    drawControls();
    drawPictures();
  }
  drawCharts();
}
