// ---- Attention on the picture -------------------------------------------------------------------------------------------

// Colours are a hue whose opacity is the value: before and after in one hue, the change in two.
const PICTURES = [
  {kind: "before", title: "Before", note: "as the heads had it, in the same pass"},
  {kind: "after", title: "After", note: "as the model used it"},
  {kind: "change", title: "Change", note: "after minus before"},
];
const stages = [];

function addPicture(picture) {
  const {region} = data, grid = chosenGrid();
  // The stage shows picture and grid, whichever reaches farther, in fractions of the picture.
  const left = Math.min(0, region.left), right = Math.max(1, region.right);
  const top = Math.min(0, region.top), bottom = Math.max(1, region.bottom);
  const width = right - left, height = bottom - top;
  const image = element("img", {src: data.image, alt: ""});
  image.style.left = `${-100 * left / width}%`;
  image.style.top = `${-100 * top / height}%`;
  image.style.width = `${100 / width}%`;
  image.style.height = `${100 / height}%`;
  const svg = element("svg", {viewBox: `${left} ${top} ${width} ${height}`, preserveAspectRatio: "none", role: "img"});
  svg.append(element("path", {class: "outside", "fill-rule": "evenodd", d:
      `M${left} ${top}H${right}V${bottom}H${left}Z M${region.left} ${region.top}H${region.right}V${region.bottom}H${region.left}Z`}));
  const cellWidth = (region.right - region.left) / grid.columns, cellHeight = (region.bottom - region.top) / grid.rows;
  const cells = [], marks = [];
  for (let row = 0; row < grid.rows; ++row) {
    for (let column = 0; column < grid.columns; ++column) {
      const x = region.left + column * cellWidth, y = region.top + row * cellHeight;
      const cell = element("rect", {x, y, width: cellWidth, height: cellHeight}, element("title"));
      const mark = element("rect", {class: "sink", x: x + 0.1 * cellWidth, y: y + 0.1 * cellHeight,
                                    width: 0.8 * cellWidth, height: 0.8 * cellHeight, "pointer-events": "none"});
      cells.push(cell);
      marks.push(mark);
    }
  }
  svg.append(...cells, ...marks);
  const stage = element("div", {class: "stage"}, image, svg);
  image.decode().catch(() => {}).then(() => {
    stage.style.aspectRatio = `${width * (image.naturalWidth || 1)} / ${height * (image.naturalHeight || 1)}`;
  });
  const low = element("span"), high = element("span"), ramp = element("span", {class: "ramp"});
  byId("pictures").append(element("figure", {},
      element("figcaption", {}, `${picture.title} `, element("small", {}, picture.note)), stage,
      element("div", {class: "legend", "aria-hidden": "true"}, low, ramp, high)));
  stages.push({...picture, svg, cells, marks, low, ramp, high});
}

// Anew for each grid.
function showPictures() {
  byId("pictures").replaceChildren();
  stages.length = 0;
  PICTURES.forEach(addPicture);
}

const place = (cell) => `row ${Math.floor(cell / chosenGrid().columns) + 1}, column ${cell % chosenGrid().columns + 1}`;
const colour = (hue, opacity) => `rgb(var(--${hue}) / ${(0.92 * Math.min(1, opacity)).toFixed(3)})`;

function drawPictures() {
  const before = chosenMap("before"), after = chosenMap("after");
  const maps = {before, after, change: after.map((value, cell) => value - before[cell])};
  const sinks = chosenSinks();
  const others = byId("scale-others").checked;
  // The largest value that still gets its own shade.
  const largest = (...values) => {
    const all = values.flatMap((map) => map.filter((_, cell) => !others || !sinks.has(cell)).map(Math.abs));
    return all.reduce((a, b) => Math.max(a, b), 0) || 1;
  };
  const scale = {before: largest(before, after), change: largest(maps.change)};
  scale.after = scale.before;
  for (const stage of stages) {
    const map = maps[stage.kind], most = scale[stage.kind];
    stage.cells.forEach((cell, i) => {
      const value = map[i] / MILLION;
      cell.style.fill = colour(stage.kind !== "change" ? "heat" : value < 0 ? "loss" : "gain", Math.abs(map[i]) / most);
      cell.firstChild.textContent = `${place(i)}: ${percent(value, 3)}` +
          (sinks.has(i) ? `, a sink in ${sinks.get(i).layers} layers, phi up to ${sinks.get(i).phi.toFixed(1)}` : "");
      stage.marks[i].style.display = byId("show-sinks").checked && sinks.has(i) ? "" : "none";
    });
    const total = map.reduce((a, b) => a + b, 0) / MILLION;
    const top = map.reduce((best, value, i) => Math.abs(value) > Math.abs(map[best]) ? i : best, 0);
    stage.svg.setAttribute("aria-label", `${stage.title}: attention on the picture, ${percent(total)} in all; ` +
        `the most at ${place(top)}: ${percent(map[top] / MILLION, 3)}`);
    const change = stage.kind === "change";
    stage.low.textContent = change ? `\u2212${percent(most / MILLION, 3)}` : "0";
    stage.high.textContent = `${change ? "+" : ""}${percent(most / MILLION, 3)}${others && sinks.size > 0 ? " and more" : ""}`;
    stage.ramp.style.backgroundImage = change ?
        `linear-gradient(90deg, ${colour("loss", 1)}, ${colour("loss", 0)} 50%, ${colour("gain", 0)} 50%, ${colour("gain", 1)})` :
        `linear-gradient(90deg, ${colour("heat", 0)}, ${colour("heat", 1)})`;
  }
  const share = (map) => [...sinks.keys()].reduce((sum, cell) => sum + map[cell], 0) / MILLION;
  byId("sinks-summary").textContent = sinks.size === 0 ?
      `No visual token is a sink in ${bandName(data.bands[state.band])}.` :
      `${sinks.size} of ${before.length} visual tokens are a sink in some of ${bandName(data.bands[state.band])}. ` +
          `They hold ${percent(share(before))} of the attention before, ${percent(share(after))} after. ` +
          "In the layers where a token is not a sink, it can gain.";
}
