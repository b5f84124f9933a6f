// ---- Layer by layer -----------------------------------------------------------------------------------------------------

const CHARTS = [
  {title: "Sink tokens", series: [["visual_sinks", "visual"], ["text_sinks", "text"]], share: false},
  {title: "Image-centric heads", series: [["image_centric", "share of heads"]], share: true},
  {title: "Changed heads", series: [["changed_heads", "share of heads"]], share: true},
  {title: "Redistributed attention", series: [["redistributed", "mean over heads"]], share: true},
  {title: "Attention on visual tokens", series: [["before", "before"], ["after", "after"]], share: true},
];
const SIZE = {width: 540, height: 170, left: 50, right: 12, top: 12, bottom: 26};
const STYLES = ["one", "two"];
const chosenMarks = [];  // of each chart

// A round number that is not less than `value`.
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 2.5, 5, 10].map((step) => step * unit).find((step) => step >= value * 0.999);
}

function addChart(chart) {
  const layers = data.layers, {width, height, left, right, top, bottom} = SIZE;
  const first = layers[0].layer, last = layers[layers.length - 1].layer;
  const slot = (width - left - right) / (last - first + 1);
  const x = (layer) => left + (layer - first + 0.5) * slot;
  const most = roundUp(Math.max(...chart.series.flatMap(([key]) => layers.map((layer) => layer[key]))));
  const y = (value) => height - bottom - (height - top - bottom) * value / most;
  const label = (value) => chart.share ? `${Number((100 * value).toPrecision(3))} %` : String(Number(value.toPrecision(3)));
  const shown = (layer, key) => chart.share ? percent(layer[key]) : String(layer[key]);

  const svg = element("svg", {viewBox: `0 0 ${width} ${height}`, role: "img"});
  const chosen = element("rect", {class: "chosen", y: top, height: height - top - bottom});
  svg.append(chosen);
  for (const value of [0, most / 2, most]) {
    svg.append(element("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}),
               element("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, label(value)));
  }
  const every = Math.ceil(layers.length / 15);
  for (const {layer} of layers.filter((_, i) => i % every === 0)) {
    svg.append(element("text", {x: x(layer), y: height - 8, "text-anchor": "middle"}, String(layer)));
  }
  chart.series.forEach(([key], i) => {
    const points = layers.map((layer) => `${x(layer.layer).toFixed(1)} ${y(layer[key]).toFixed(1)}`);
    svg.append(element("path", {class: STYLES[i], d: `M${points.join("L")}`}));
    for (const layer of layers) {
      svg.append(element("circle", {class: `mark ${STYLES[i]}`, cx: x(layer.layer), cy: y(layer[key]), r: 2.4}));
    }
  });
  for (const layer of layers) {
    const values = chart.series.map(([key, name]) => `${name} ${shown(layer, key)}`).join(", ");
    const hit = element("rect", {class: "hit", x: x(layer.layer) - slot / 2, width: slot, y: top, height: height - top - bottom},
                        element("title", {}, `layer ${layer.layer}: ${values}`));
    const band = data.bands.findLastIndex((b) => b.first <= layer.layer && layer.layer <= b.last);
    if (band > 0) hit.addEventListener("click", () => choose({band: state.band === band ? 0 : band}));
    svg.append(hit);
  }
  const peaks = chart.series.map(([key, name]) => {
    const peak = layers.reduce((a, b) => b[key] > a[key] ? b : a);
    return `${name}: at most ${shown(peak, key)} in layer ${peak.layer}`;
  });
  svg.setAttribute("aria-label", `${chart.title} by layer, ${first} to ${last}. ${peaks.join("; ")}.`);
  const key = element("span", {class: "key"}, ...chart.series.flatMap(([, name], i) => [element("i", {class: STYLES[i]}), name]));
  byId("charts").append(element("div", {class: "card chart"}, element("h3", {}, chart.title, key), svg));
  chosenMarks.push((band) => {
    const whole = band === undefined || band === data.bands[0];
    chosen.setAttribute("x", x(band.first) - slot / 2);
    chosen.setAttribute("width", whole ? 0 : (band.last - band.first + 1) * slot);
  });
}

function drawCharts() {
  for (const mark of chosenMarks) mark(data.bands[state.band]);
}

hideWhatIsNotKnown();
showAnswers();
if (has.maps) {
  showControls();
  showPictures();
}
showTables();
if (has.layers) CHARTS.filter(({series}) => data.layers[0][series[0][0]] !== undefined).forEach(addChart);
draw();
