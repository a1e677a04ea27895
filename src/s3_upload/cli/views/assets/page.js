// Draws the charts of the page from the numbers in #data. Nothing here asks the network for anything.
(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const AXIS_PX = 58, RIGHT_PX = 12, NEAR_PX = 28;
let charts = [];

const css = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const phone = () => innerWidth <= 560;
const short = (value, digits = 3) => value >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(digits));

function clock(s) {
  if (s < 60) return `${+s.toFixed(3)} s`;
  const two = n => String(Math.floor(n)).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(s / 60 % 60)}:${two(s % 60)}`;
}
function took(s) {
  if (s < 1e-3) return `${short(s * 1e6)} µs`;
  if (s < 1) return `${short(s * 1e3)} ms`;
  return s < 120 ? `${short(s)} s` : clock(s);
}
function size(bytes) {
  for (const [unit, factor] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])
    if (bytes >= factor) return `${short(bytes / factor)} ${unit}`;
  return `${bytes} B`;
}

const SECONDS = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

function axes(format, xFormat, more = {}) {
  const look = { stroke: css("dim"), font: `12px ${getComputedStyle(document.body).fontFamily}`, grid: { stroke: css("grid"), width: 1 }, ticks: { show: false } };
  return [
    { ...look, space: phone() ? 56 : 80, size: 28, gap: 4, values: (u, splits) => splits.map(xFormat), ...more.x },
    { ...look, space: 34, size: AXIS_PX, gap: 6, values: (u, splits) => splits.map(format), ...more.y },
  ];
}

// What the store's absence covers is shaded, in each chart over time.
function shadeAway(u) {
  u.ctx.fillStyle = css("away");
  for (const [from, to] of data.away) {
    const left = Math.max(u.bbox.left, u.valToPos(from, "x", true)), right = Math.min(u.bbox.left + u.bbox.width, u.valToPos(to, "x", true));
    if (right > left) u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
  }
}

function line(label, color, value, more = {}) {
  return { label, stroke: css(color), width: 1.6, points: { show: false }, value: (u, v) => v == null ? "" : value(v), ...more };
}

function overTime(id, times, series, rows, format, more = {}) {
  const place = document.getElementById(id);
  if (!place) return;
  const top = more.top || Math.max(0, ...rows.flat().filter(v => v != null));
  mount(place, {
    height: more.height || (phone() ? 160 : 190),
    padding: [8, RIGHT_PX, 0, 0],
    cursor: { sync: { key: "time", scales: ["x", null] }, drag: { x: true, y: false }, points: { size: 7 } },
    scales: { x: { time: false, range: (u, min, max) => min === 0 && max === 0 || min == null ? [0, 1] : [min, max] }, y: { range: () => [0, top > 0 ? top * 1.08 : 1] } },
    axes: axes(format, clock, { x: { incrs: SECONDS } }),
    series: [{ label: "at", value: (u, v) => v == null ? "" : clock(v) }, ...series],
    hooks: { drawClear: [shadeAway], draw: more.over || [] },
  }, [[0, ...times, data.span], ...rows.map(row => [row.length ? (more.flatEnds ? row[0] : null) : null, ...row, null])]);
}

function mount(place, options, table) {
  const chart = new uPlot({ width: place.clientWidth, ...options }, table, place);
  charts.push([chart, place]);
  return chart;
}

// A bound may be far above what came of it: then it leaves the chart.
function topOf(most, bound) {
  const there = (bound || []).filter(v => v != null);
  return Math.max(most, Math.min(1.3 * most, Math.max(0, ...there)));
}

function rate() {
  const series = [line("stored", "blue", v => `${short(v)} MB/s`, { fill: css("blue-fill") })], rows = [data.stored];
  if (data.vain) { series.push(line("sent in vain", "red", v => `${short(v)} MB/s`)); rows.push(data.vain); }
  if (data.pace) { series.push(line("allowed", "amber", v => `${short(v)} MB/s`, { dash: [5, 4], width: 1.3, spanGaps: true })); rows.push(data.pace); }
  const ribbons = [];
  if (data.limits) {
    const { at, names, colors } = data.limits;
    series.push(line("limited by (ribbon)", "dim", v => names[v], { scale: "state", width: 0 }));
    rows.push(at);
    ribbons.push(u => ribbon(u, data.t, at, n => colors[n]));
  }
  overTime("rate", data.t, series, rows, v => short(v), { top: topOf(Math.max(...data.stored, ...(data.vain || [])), data.pace), over: ribbons });
}

function requests() {
  const series = [line("at once", "violet", v => short(v))], rows = [data.busy];
  if (data.bound) {
    const stepped = uPlot.paths.stepped({ align: 1 });
    series.push(line("at most", "amber", v => short(v), { dash: [5, 4], width: 1.3, spanGaps: true, paths: stepped }));
    rows.push(data.bound);
  }
  overTime("requests", data.t, series, rows, v => short(v), { top: topOf(Math.max(...data.busy), data.bound) });
}

function failures() {
  if (!data.failed) return;
  const bars = uPlot.paths.bars({ size: [0.9, 8], align: 0 });
  overTime("failures", data.t, [line("so many at this time", "red", v => short(v), { fill: css("red"), width: 0, paths: bars })], [data.failed], v => short(v), { height: 110 });
}

// A ribbon at the bottom of a chart says what was so from each of these times on.
function ribbon(u, times, states, color) {
  const high = 5 * devicePixelRatio, y = u.bbox.top + u.bbox.height - high, end = u.bbox.left + u.bbox.width;
  times.forEach((from, n) => {
    const left = Math.max(u.bbox.left, Math.round(u.valToPos(from, "x", true)));
    const right = Math.min(end, Math.round(u.valToPos(n + 1 < times.length ? times[n + 1] : data.span, "x", true)));
    if (right <= left || states[n] == null) return;
    u.ctx.fillStyle = css(color(states[n]));
    u.ctx.fillRect(left, y, right - left, high);
  });
}

function queue() {
  const q = data.queue;
  if (!q) return;
  const times = [...q.t], ms = v => `${short(v)} ms`;
  overTime("queue", times, [
    line("in the queue", "blue", ms, { fill: css("blue-fill") }),
    line("round trip without it", "gray", ms, { dash: [5, 4], width: 1.3 }),
    line("share (ribbon)", "dim", v => q.states[v], { scale: "state", width: 0 }),
  ], [q.queue, q.base, q.state], v => short(v), { over: [u => ribbon(u, q.t, q.state, n => q.colors[n])], top: Math.max(1, ...q.queue, ...q.base) });
}

function span(values, least) {
  const low = Math.min(...values), high = Math.max(...values);
  let from = Math.floor(Math.log10(low) - .08), to = Math.ceil(Math.log10(high) + .08);
  if (to - from < least) to = from + least;
  return [10 ** from, 10 ** to];
}

function sizes() {
  const place = document.getElementById("sizes");
  if (!place) return;
  const kinds = [["stored", "blue", "stored"], ["refused", "amber", "failed otherwise"], ["cut", "red", "timed out"]];
  const dots = kinds.flatMap(([kind, color, text]) => data.dots[kind].map(([x, y, n]) => ({ x, y, n, color, text })));
  const most = Math.max(...dots.map(dot => dot.n));
  const xRange = span(dots.map(dot => dot.x), 2), yRange = span([...dots.map(dot => dot.y), ...data.allowed.flatMap(([, low, high]) => [low, high])], 2);
  const radius = dot => ((dot.color === "blue" ? 1.7 : 2.3) + 3.2 * (most > 1 ? Math.log(dot.n) / Math.log(most) : 0)) * devicePixelRatio;

  function draw(u) {
    const { ctx, bbox } = u, at = (v, scale) => u.valToPos(v, scale, true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.strokeStyle = css("gray");
    ctx.lineCap = "round";
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const [x, low, high] of data.allowed) {
      ctx.beginPath();
      ctx.moveTo(at(x, "x"), at(low, "y"));
      ctx.lineTo(at(x, "x"), at(high, "y") - 1);
      ctx.stroke();
    }
    for (const dot of dots) {
      ctx.globalAlpha = dot.color === "blue" ? .55 : .9;
      ctx.fillStyle = css(dot.color);
      ctx.beginPath();
      ctx.arc(at(dot.x, "x"), at(dot.y, "y"), radius(dot), 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.restore();
  }
  const power = format => (u, splits) => splits.map(v => v == null ? "" : format(v));
  const decades = { stroke: css("grid"), width: 1, filter: (u, splits) => splits.map(v => Math.abs(Math.log10(v) % 1) < 1e-6 || Math.abs(Math.log10(v) % 1) > 1 - 1e-6 ? v : null) };
  const log = { distr: 3, log: 10 };
  const chart = mount(place, {
    height: phone() ? 280 : 340,
    padding: [8, 2 * RIGHT_PX, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, x: false, y: false },
    scales: { x: { time: false, ...log, range: () => xRange }, y: { ...log, range: () => yRange } },
    axes: axes(took, size, { x: { values: power(size), space: 50, grid: decades }, y: { values: power(took), space: 24, grid: decades } }),
    series: [{}, { show: true, paths: () => null, points: { show: false } }],
    hooks: { draw: [draw] },
  }, [xRange, yRange]);

  const tip = place.appendChild(document.createElement("div"));
  tip.className = "tip";
  const over = chart.over;
  over.addEventListener("pointermove", event => {
    const left = event.offsetX, top = event.offsetY;
    let best = null, least = NEAR_PX;
    for (const dot of dots) {
      const far = Math.hypot(chart.valToPos(dot.x, "x") - left, chart.valToPos(dot.y, "y") - top);
      if (far < least) [best, least] = [dot, far];
    }
    tip.style.display = best ? "block" : "none";
    if (!best) return;
    const count = best.n > 1 ? `${best.n.toLocaleString("en")} about here, such as ` : "";
    tip.textContent = `${count}${size(best.x)} in ${took(best.y)}: ` + (best.text === "stored" ? `${short(best.x / 1e6 / best.y)} MB/s` : best.text);
    const x = over.offsetLeft + left, y = over.offsetTop + top;
    tip.style.left = `${Math.max(0, Math.min(x + 12, place.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${y + 16}px`;
  });
  over.addEventListener("pointerleave", () => { tip.style.display = "none"; });
}

function draw() {
  for (const [chart, place] of charts) { chart.destroy(); place.replaceChildren(); }
  charts = [];
  for (const one of [rate, requests, failures, queue, sizes]) one();
  document.documentElement.dataset.charts = charts.length;
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("beforeprint", draw);
let width = innerWidth, waiting = 0;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(draw);
});
})();
