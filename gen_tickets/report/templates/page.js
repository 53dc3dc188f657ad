"use strict";
(() => {
// Charts, legends, sortable tables, the slider and the enlarged images of a page. Each
// .chart holds a figure as JSON (report/charts.py) and is drawn as SVG in its own width.
const hidden = new Set(); // entries of legends that are switched off, on the whole page
const plots = [];

const make = (parent, name, attributes = {}, text = "") => {
  const isHtml = !parent.ownerSVGElement && name !== "svg" && parent.tagName !== "svg";
  const node = isHtml ? document.createElement(name)
    : document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== "") node.textContent = text;
  return parent.appendChild(node);
};
// A colour may have another one for a dark page: see style.css.
const ink = (color) => `var(--c${color.slice(1)}, ${color})`;
const is = Number.isFinite;
const show = (value) => {
  const size = Math.abs(value);
  if (size && (size >= 1e6 || size < 1e-4)) return value.toExponential(3);
  return String(Number(value.toPrecision(size >= 1000 ? 6 : 4)));
};

function niceTicks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(i * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const write = (x) => (step >= 1e5 || step < 1e-5 ? x.toExponential(1)
    : x.toFixed(digits));
  return ticks.map((x) => [x, write(x)]);
}

function logTicks(low, high) {
  const ticks = [], many = high / low > 1e3;
  for (let e = Math.floor(Math.log10(low)); 10 ** e <= high; e++) {
    for (const x of many ? [1] : [1, 2, 5]) ticks.push(x * 10 ** e);
  }
  const inside = ticks.filter((x) => x >= low && x <= high);
  return inside.length > 1 ? inside.map((x) => [x, show(x)]) : niceTicks(low, high, 4);
}

function extent(chart, lines, log) {
  let values = lines.flatMap((line) => line.y.flatMap((y, i) => {
    const std = is(line.std[i]) ? line.std[i] : 0;
    return is(y) ? [y - std, y, y + std] : [];
  }));
  for (const mark of chart.marks) if (is(mark.y)) values.push(mark.y);
  if (chart.ylim) values = [...chart.ylim];
  if (log) values = values.filter((y) => y > 0);
  if (!values.length) return log ? [0.1, 1] : [0, 1];
  let low = Math.min(...values), high = Math.max(...values);
  if (log) return low < high ? [low / 1.05, high * 1.05] : [low / 2, low * 2];
  const room = 0.06 * (high - low) || Math.abs(high) || 1;
  const above = lines.some((line) => line.crosses.length) ? 3 * room : room;
  return chart.ylim ? chart.ylim : [low - room, high + above];
}

class Chart {
  constructor(box, spec) {
    Object.assign(this, { box, spec, log: spec.ylog });
    this.lines = () => spec.lines.filter((x) => !hidden.has(x.label) && !hidden.has(x.kind));
    this.legend = make(box.parentNode, "div", { class: "legend" });
    box.parentNode.insertBefore(this.legend, box);
    if (!spec.small) this.writeLegend();
    const positive = spec.lines.every((x) => x.y.every((y) => !is(y) || y > 0));
    if (positive) this.button("log scale", () => { this.log = !this.log; plotAgain(this); },
      () => this.log);
  }

  button(text, act, isOn, line) {
    const button = make(this.legend, "button", { type: "button", class: line ? "entry" : "" });
    if (line) {
      const swatch = make(button, "svg", { width: 24, height: 10 });
      make(swatch, "path", { d: "M0 5H24", class: line.dash,
        style: `stroke:${ink(line.kind && !line.own ? "#777777" : line.color)}` });
    }
    make(button, "span", {}, text);
    const update = () => button.setAttribute("aria-pressed", isOn());
    button.onclick = () => { act(); update(); };
    (this.updates ??= []).push(update);
    update();
  }

  writeLegend() {
    const entries = new Map();
    for (const line of this.spec.lines) {
      if (!entries.has(line.label)) entries.set(line.label, { ...line, own: true, dash: line.kind ? "" : line.dash });
    }
    for (const line of this.spec.lines) if (line.kind) entries.set(line.kind, line);
    for (const [text, line] of entries) {
      this.button(text, () => toggle(text), () => !hidden.has(text), line);
    }
    for (const mark of this.spec.marks) {
      const note = make(this.legend, "span", { class: "mark" });
      make(note, "span", { class: is(mark.y) ? "ring" : "rule" });
      make(note, "span", {}, mark.label);
    }
  }

  draw() {
    const { box, spec } = this, lines = this.lines();
    const width = Math.max(scale * box.clientWidth, 200), top = spec.top_label ? 40 : 10;
    const height = spec.small ? 230 : Math.min(420, Math.max(280, 0.46 * width));
    const [left, right, bottom] = [74, 14, 42];
    const [w, h] = [width - left - right, height - top - bottom];
    const svg = frame(box, width, height, spec.title);
    const [x0, x1] = spec.xlim || this.xExtent(), fx = spec.xlog ? Math.log : Number;
    const fy = this.log ? Math.log : Number, [y0, y1] = extent(spec, lines, this.log);
    this.x = (x) => (w * (fx(x) - fx(x0))) / (fx(x1) - fx(x0));
    this.y = (y) => h - (h * (fy(Math.max(y, this.log ? y0 / 10 : y)) - fy(y0))) / (fy(y1) - fy(y0));
    const group = make(svg, "g", { transform: `translate(${left} ${top})` });
    for (const [y, text] of this.log ? logTicks(y0, y1) : niceTicks(y0, y1, Math.max(5, h / 45))) {
      make(group, "path", { d: `M0 ${this.y(y)}H${w}`, class: "tick" });
      make(group, "text", { x: -8, y: this.y(y) + 4, class: "end" }, text);
    }
    this.writeX(group, w, h, x0, x1);
    make(group, "path", { d: `M0 0V${h}H${w}`, class: "axis" });
    spec.ylabel.split("\n").forEach((text, i, all) => make(group, "text", {
      transform: `translate(${14 * i - left + (all.length > 1 ? 12 : 20)} ${h / 2}) rotate(-90)`,
      class: i ? "middle faint" : "middle" }, text));
    const inside = make(group, "svg", { x: 0, y: 0, width: w, height: h });
    for (const mark of spec.marks) if (!is(mark.y)) make(inside, "path", {
      d: `M${this.x(mark.x)} 0V${h}`, class: "paper" });
    for (const line of lines) this.drawLine(inside, line, w);
    lines.filter((x) => x.crosses.length).forEach((line, i) => line.crosses.forEach((x) =>
      make(inside, "text", { x: this.x(x), y: 14 + 13 * i, class: "middle cross",
        style: `fill:${ink(line.color)}` }, "×")));
    for (const mark of spec.marks) if (is(mark.y) && !hidden.has("winning")) make(group, "circle", {
      cx: this.x(mark.x), cy: this.y(mark.y), r: 9, class: "found" });
    this.hover(svg, inside, left, h);
  }

  xExtent() {
    const all = this.spec.lines.flatMap((line) => line.x);
    const [low, high] = [Math.min(...all), Math.max(...all)], room = 0.03 * (high - low || 1);
    return [low - room, high + room];
  }

  writeX(group, w, h, x0, x1) {
    const { spec } = this, given = spec.xticks.map((t) => [t.x, t.below, t.above]);
    const ticks = given.length ? given : niceTicks(x0, x1, w / 80);
    let last = -Infinity;
    ticks.forEach(([x, below, above], i) => {
      const place = this.x(x), end = this.x(ticks[ticks.length - 1][0]);
      if (place - last < 36 || (i < ticks.length - 1 && end - place < 36)) return;
      last = place;
      if (!spec.small) make(group, "path", { d: `M${place} 0V${h}`, class: "tick" });
      make(group, "text", { x: place, y: h + 16, class: "middle" }, below);
      if (above) make(group, "text", { x: place, y: -7, class: "middle" }, above);
    });
    make(group, "text", { x: w / 2, y: h + 35, class: "middle" }, spec.xlabel);
    if (spec.top_label) {
      make(group, "path", { d: `M0 0H${w}`, class: "axis" });
      make(group, "text", { x: w / 2, y: -26, class: "middle" }, spec.top_label);
    }
  }

  drawLine(inside, line, w) {
    const style = `stroke:${ink(line.color)};fill:${ink(line.color)}`;
    const flat = !line.x.length, at = (i) => (flat ? 0 : this.x(line.x[i]));
    const runs = [[]]; // of points that are joined
    line.y.forEach((y, i) => (is(y) ? runs[runs.length - 1].push(i) : runs.push([])));
    for (const run of runs) {
      if (!run.length) continue;
      const edge = (side) => run.map((i) => `${at(i)} ${this.y(line.y[i] + side * (line.std[i] || 0))}`);
      if (run.some((i) => line.std[i] > 0)) {
        const [upper, lower] = [edge(1), edge(-1).reverse()];
        make(inside, "path", { class: "band", style, d: flat
          ? `M${upper}H${w}V${lower[0].split(" ")[1]}H0Z` : `M${[...upper, ...lower].join("L")}Z` });
      }
      make(inside, "path", { class: `line ${line.dash}`, style,
        d: `M${edge(0).join("L")}` + (flat ? `H${w}` : "") });
      if (line.marker || run.length === 1) for (const i of run) if (!flat) {
        make(inside, "circle", { cx: at(i), cy: this.y(line.y[i]), r: 3.5, style });
      }
    }
  }

  hover(svg, inside, left, h) {
    const rule = make(inside, "path", { class: "tick" });
    svg.onpointermove = (event) => {
      const scale = svg.viewBox.baseVal.width / svg.clientWidth;
      const pointer = (event.clientX - svg.getBoundingClientRect().left) * scale - left;
      const lines = this.lines(), all = lines.flatMap((line) => line.x);
      if (!all.length) return;
      const gap = (x) => Math.abs(this.x(x) - pointer);
      const nearest = all.reduce((a, b) => (gap(b) < gap(a) ? b : a));
      rule.setAttribute("d", `M${this.x(nearest)} 0V${h}`);
      const rows = lines.flatMap((line) => {
        const i = line.x.length ? line.x.indexOf(nearest) : 0;
        return i < 0 || !is(line.y[i]) ? [] : [[line, i]];
      });
      tell(event, (box) => {
        const [line, i] = rows.find(([one]) => one.x.length) || [];
        if (!line) return;
        make(box, "b", {}, line.notes[i] || `${this.spec.xlabel} ${show(nearest)}`);
        for (const [one, j] of rows) {
          const std = is(one.std[j]) ? ` ± ${one.std[j].toPrecision(2)}` : "";
          const row = make(box, "div");
          make(row, "i", { style: `background:${ink(one.color)}` });
          make(row, "span", {}, [one.label, one.kind].filter(Boolean).join(", "));
          make(row, "span", { class: "value" }, show(one.y[j]) + std);
        }
      });
    };
    svg.onpointerleave = () => { rule.removeAttribute("d"); tell(); };
  }
}

class Heatmap {
  constructor(box, spec) { Object.assign(this, { box, spec }); }

  draw() {
    const { box, spec } = this, [rows, columns] = [spec.rows.length, spec.columns.length];
    const width = Math.max(scale * box.clientWidth, 200), bright = 0.55;
    const longest = Math.max(...spec.rows.map((name) => name.length));
    const left = Math.min(6.3 * longest + 26, 0.45 * width), [right, bottom] = [62, 42];
    const cell = (width - left - right) / columns;
    const line = spec.written ? 22 : Math.min(cell, 360 / rows), h = rows * line;
    const svg = frame(box, width, h + bottom + 8, spec.title);
    const group = make(svg, "g", { transform: `translate(${left} 8)` });
    spec.values.forEach((values, i) => {
      if (spec.written || i % Math.ceil(rows / 12) === 0) make(group, "text", {
        x: -6, y: line * (i + 0.5) + 4, class: "end" },
        spec.rows[i].length * 6.3 > left - 20 ? "…" + spec.rows[i].slice(-Math.floor((left - 28) / 6.3)) : spec.rows[i]);
      values.forEach((value, j) => {
        if (!is(value)) return;
        const place = { x: cell * j, y: line * i, width: cell + 0.4, height: line + 0.4 };
        const rect = make(group, "rect", { ...place, fill: spec.colors[i][j] });
        rect.onpointermove = (event) => tell(event, (tip) => {
          make(tip, "b", {}, `${spec.ylabel} ${spec.rows[i]}, ${spec.xlabel} ${spec.columns[j]}`);
          make(tip, "div", {}, `${spec.bar}: ${show(value)}`);
        });
        if (spec.written && cell > 28) make(group, "text", {
          x: cell * (j + 0.5), y: line * (i + 0.5) + 4, class: "middle cell",
          style: `fill:${spec.shades[i][j] > bright ? "#222" : "#f4f4f4"}` },
          String(Number(value.toPrecision(3))));
      });
    });
    const every = Math.ceil(columns / Math.max(1, Math.floor((width - left - right) / 26)));
    spec.columns.forEach((name, j) => { if (j % every === 0) make(group, "text", {
      x: cell * (j + 0.5), y: h + 15, class: "middle" }, name); });
    make(group, "text", { x: (cell * columns) / 2, y: h + 34, class: "middle" }, spec.xlabel);
    if (spec.mark) make(group, "path", { class: "paper",
      d: `M${cell * (spec.mark[0] + 0.5)} 0V${h}` });
    this.drawBar(group, cell * columns + 14, h);
    svg.onpointerleave = () => tell();
  }

  drawBar(group, x, h) {
    const steps = this.spec.bar_colors, size = h / steps.length;
    steps.forEach((fill, i) => make(group, "rect", { x, width: 10, fill,
      y: h - size * (i + 1), height: size + 0.4 }));
    let last = Infinity;
    for (const [shade, text] of [...this.spec.bar_ticks].sort((a, b) => a[0] - b[0])) {
      const y = h * (1 - shade);
      if (last - y > 12) { make(group, "text", { x: x + 14, y: y + 4 }, text); last = y; }
    }
  }
}

function frame(box, width, height, title) {
  box.replaceChildren();
  return make(box, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": title });
}

const tip = make(document.body, "div", { class: "tip", hidden: "" });
function tell(event, write) {
  tip.hidden = !event;
  if (!event) return;
  tip.replaceChildren();
  write(tip);
  const { innerWidth: width, innerHeight: height } = window;
  const [x, y] = [event.clientX + 14, event.clientY + 14];
  tip.style.left = `${Math.max(4, x + tip.offsetWidth > width ? x - tip.offsetWidth - 28 : x)}px`;
  tip.style.top = `${Math.max(4, y + tip.offsetHeight > height ? y - tip.offsetHeight - 28 : y)}px`;
}

let scale = 1; // of the width in which figures are drawn; what is drawn fills its box
function plotAgain(plot) { if (plot.box.clientWidth) plot.draw(); }

function toggle(label) {
  if (!hidden.delete(label)) hidden.add(label);
  for (const plot of plots) { plotAgain(plot); (plot.updates || []).forEach((x) => x()); }
  for (const node of document.querySelectorAll("[data-arm]")) {
    node.classList.toggle("off", hidden.has(node.dataset.arm));
  }
}

for (const box of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(box.querySelector("script").textContent);
  const plot = new (spec.type === "chart" ? Chart : Heatmap)(box, spec);
  plots.push(plot);
  plotAgain(plot);
  let width = box.clientWidth; // drawn again when it has changed, also from hidden
  new ResizeObserver(() => {
    if (!box.clientWidth || box.clientWidth === width) return;
    width = box.clientWidth;
    requestAnimationFrame(() => plot.draw());
  }).observe(box);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], key = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;
  [...table.tHead.rows[0].cells].forEach((head, i) => { head.firstChild.onclick = () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = (a, b) => key(a, i).localeCompare(key(b, i), "en", { numeric: true });
    const byNumber = (a, b) => (Number(key(a, i)) - Number(key(b, i)) || 0);
    const isMissing = (row) => ["", "nan", "–"].includes(key(row, i));
    const known = [...body.rows].filter((row) => !isMissing(row));
    const missing = [...body.rows].filter(isMissing); // stay below the others
    const isNumber = known.every((row) => !Number.isNaN(Number(key(row, i))));
    known.sort(isNumber ? byNumber : compare);
    body.append(...(down ? known.reverse() : known), ...missing);
  }; });
}

for (const input of document.querySelectorAll("input.filter")) {
  input.oninput = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of input.nextElementSibling.querySelectorAll("tbody tr, dd span")) {
      const text = row.textContent.toLowerCase();
      row.classList.toggle("unmatched", !words.every((word) => text.includes(word)));
    }
  };
}

for (const slides of document.querySelectorAll(".slides")) {
  const input = slides.querySelector("input"), all = slides.querySelectorAll(".slide");
  input.oninput = () => {
    all.forEach((slide, i) => slide.classList.toggle("shown", i === Number(input.value)));
    slides.querySelector("output").textContent = all[input.value].dataset.title;
  };
  input.oninput();
}

const dialog = make(document.body, "dialog"), large = make(dialog, "img");
const words = make(dialog, "p");
for (const button of document.querySelectorAll("button.enlarge")) {
  button.onclick = () => {
    const image = button.querySelector("img");
    Object.assign(large, { src: image.src, alt: image.alt });
    words.textContent = image.alt;
    dialog.showModal();
  };
}
dialog.onclick = () => dialog.close();

window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.figures")) part.open = true;
  scale = 700 / Math.max(700, document.querySelector("main").clientWidth);
  plots.forEach(plotAgain);
});
window.addEventListener("afterprint", () => { scale = 1; plots.forEach(plotAgain); });
})();
