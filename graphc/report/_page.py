"""The look of the page of curves, and what happens under the pointer."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1f2328; --pale: #6e7781; --grid: #e6e8eb;
  --c0: #0969da; --c1: #cf5a00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #57606a }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --ink: #e6edf3; --pale: #8b949e;
  --grid: #21262d; --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #f778ba;
  --c5: #9ea7b3 } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem; font-weight: 600; overflow-wrap: anywhere }
figure { margin: 1.5rem 0; position: relative }
figcaption { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline }
figcaption label { margin-left: auto; color: var(--pale) }
.key::before { content: ""; display: inline-block; width: 1.2em; margin-right: .4em;
  border-top: 2px solid; vertical-align: middle }
.key { color: var(--c) } .key.faint { opacity: .7 } .warning { color: var(--c1) }
.c0 { --c: var(--c0) } .c1 { --c: var(--c1) } .c2 { --c: var(--c2) } .c3 { --c: var(--c3) }
.c4 { --c: var(--c4) } .c5 { --c: var(--c5) }
svg { width: 100%; height: auto; display: block }
svg text { fill: var(--pale); font-size: 11px; font-variant-numeric: tabular-nums }
.grid, .axis, .guide { stroke: var(--grid); fill: none } .guide, .axis { stroke: var(--pale) }
.line { stroke: var(--c); fill: none; stroke-width: 1.8; stroke-linejoin: round;
  stroke-linecap: round }
.dots { stroke: var(--c); fill: none; stroke-width: 5; stroke-linecap: round }
.faint { opacity: .35 } .line.faint { stroke-width: 1 }
.log, figure:has(input:checked) .linear { display: none }
figure:has(input:checked) .log { display: inline }
.tip { position: absolute; pointer-events: none; background: var(--back); padding: .2rem .5rem;
  border: 1px solid var(--grid); border-radius: 4px; white-space: pre; font-size: 12px }
section { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start }
table { border-collapse: collapse } td, th { padding: .15rem 1.2rem .15rem 0; text-align: left;
  font-weight: 400; vertical-align: top; overflow-wrap: break-word } th { color: var(--pale) }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem }
"""

SCRIPT = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const nearest = (xs, x) => {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle; else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
};
document.querySelectorAll("figure").forEach((figure, index) => {
  const svg = figure.querySelector("svg"), tip = figure.querySelector(".tip");
  const guide = svg.querySelector(".guide"), at = svg.dataset;
  const low = +at.low, high = +at.high, start = +at.start, end = +at.end;
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), width = svg.viewBox.baseVal.width;
    const x = (event.clientX - box.left) / box.width * width;
    const wanted = low + (x - start) / (end - start) * (high - low);
    const first = data[index][0][1], iter = first[nearest(first, wanted)];
    const rows = data[index].map(([name, xs, ys]) => {
      const k = nearest(xs, iter);
      return `${name}: ${ys[k] === null ? "not finite" : ys[k]}`;
    });
    const place = start + (iter - low) / (high - low) * (end - start);
    guide.setAttribute("x1", place); guide.setAttribute("x2", place);
    tip.textContent = [`iteration ${iter.toLocaleString("en")}`, ...rows].join("\\n");
    tip.hidden = false;
    const left = place / width * box.width, room = box.width - left - tip.offsetWidth;
    tip.style.left = `${room < 20 ? left - tip.offsetWidth - 12 : left + 12}px`;
    tip.style.top = `${box.top - figure.getBoundingClientRect().top + 10}px`;
  });
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true; guide.setAttribute("x1", -9); guide.setAttribute("x2", -9);
  });
});
"""

__all__ = ["SCRIPT", "STYLE"]
