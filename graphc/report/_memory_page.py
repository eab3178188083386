"""The look of the page of a memory plan, and what happens under the pointer and the wheel."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1f2328; --pale: #6e7781; --grid: #e6e8eb;
  --k0: #5b9bd5; --k1: #7a8b99; --k2: #a08770; --k3: #c3a400; --k4: #d9534f; --k5: #8e6bbf;
  --k6: #4f7942; --k7: #35a79c; --k8: #e08e45; --mark: #cf222e }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --ink: #e6edf3; --pale: #8b949e;
  --grid: #30363d; --mark: #ff7b72 } }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem; font-weight: 600; overflow-wrap: anywhere }
figure { margin: 1rem 0; position: relative }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; color: var(--pale) }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .4em;
  background: var(--c) }
.k0 { --c: var(--k0) } .k1 { --c: var(--k1) } .k2 { --c: var(--k2) } .k3 { --c: var(--k3) }
.k4 { --c: var(--k4) } .k5 { --c: var(--k5) } .k6 { --c: var(--k6) } .k7 { --c: var(--k7) }
.k8 { --c: var(--k8) }
svg { display: block } figure > svg, .bars { width: 100%; height: auto }
section > div { flex: 1 0 100%; margin: 1rem 0 } .bars path + text { fill: var(--ink) }
svg text { fill: var(--pale); font-size: 11px; font-variant-numeric: tabular-nums }
path { vector-effect: non-scaling-stroke }
.rect { fill: var(--c) } .other { opacity: .75 }
.area { fill: var(--k0); opacity: .6 }
.entry { stroke: var(--pale); stroke-dasharray: 2 3; fill: none }
.peak, .bound { stroke: var(--mark); fill: none } .bound { stroke-dasharray: 6 4 }
.plot { overflow: hidden }
.tip { position: absolute; pointer-events: none; background: var(--back); padding: .2rem .5rem;
  border: 1px solid var(--grid); border-radius: 4px; white-space: pre; font-size: 12px; z-index: 1 }
section { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start }
table { border-collapse: collapse; max-width: 100% } td, th { padding: .15rem 1rem .15rem 0;
  text-align: left; font-weight: 400; vertical-align: top; overflow-wrap: anywhere }
th { color: var(--pale) } caption { text-align: left; font-weight: 600; padding-bottom: .3rem }
"""

SCRIPT = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const figures = [...document.querySelectorAll("figure")];
const number = value => value.toLocaleString("en");
const LEFT = 90, WIDTH = 900;
let low = 0, span = WIDTH;  // the part of the steps that is shown
const told = ([name, kind, layer, offset, bytes, first, last]) =>
  [`${name}  (${data.kinds[kind]})`, `layer ${layer}`, `${number(bytes)} B at ${number(offset)}`,
   first === last ? `step ${first}` : `steps ${first} to ${last}`].join("\\n");
const atStep = step => {
  const of = data.step[step];
  return `step ${step}${of ? `, ${data.layers[of[0]]} (${of[1]})` : ""}`;
};
const tips = {
  live: step => `${atStep(step)}\\n${number(data.live[step])} B alive`,
  map: (step, byte) => {
    const found = data.rects.find(([, , , offset, bytes, first, last]) =>
      first <= step && step <= last && offset <= byte && byte < offset + bytes);
    return `${atStep(step)}\\n${found ? told(found) : "free"}`;
  },
  kept: (_, byte) => {
    const found = data.kept.find(([, , , offset, bytes]) =>
      offset <= byte && byte < offset + bytes);
    return found ? told(found) : "";
  },
};
const zoom = () => {
  for (const figure of figures) {
    const svg = figure.querySelector("svg");
    if (svg.dataset.name === "kept") continue;
    const plot = svg.querySelector(".plot");
    plot.setAttribute("viewBox", `${low} 0 ${span} ${plot.getAttribute("height")}`);
    svg.querySelectorAll(".at").forEach(label => {
      const x = (label.dataset.step / svg.dataset.steps * WIDTH - low) / span * WIDTH;
      label.setAttribute("visibility", x < 0 || x > WIDTH ? "hidden" : "visible");
      label.setAttribute("x", LEFT + x + 3);
    });
  }
};
figures.forEach(figure => {
  const svg = figure.querySelector("svg"), plot = svg.querySelector(".plot");
  const tip = figure.querySelector(".tip"), at = svg.dataset, isKept = at.name === "kept";
  const where = event => {
    const whole = svg.getBoundingClientRect();
    const scale = whole.width / svg.viewBox.baseVal.width;
    const top = whole.top + (isKept ? 0 : 14 * scale);
    return [(event.clientX - whole.left - LEFT * scale) / (WIDTH * scale),
            (event.clientY - top) / (plot.getAttribute("height") * scale)];
  };
  svg.addEventListener("pointermove", event => {
    const [x, y] = where(event), inside = x >= 0 && x < 1 && y >= 0 && y < 1;
    tip.hidden = !inside;
    if (!inside) return;
    const all = data.arenas.weights;
    const step = Math.floor((low + x * span) / WIDTH * at.steps);
    tip.textContent = isKept ? tips.kept(0, x * all) : tips[at.name](step, (1 - y) * at.most);
    tip.hidden = !tip.textContent;
    const home = figure.getBoundingClientRect(), left = event.clientX - home.left;
    const room = home.width - left - tip.offsetWidth;
    tip.style.left = `${room < 20 ? left - tip.offsetWidth - 12 : left + 12}px`;
    tip.style.top = `${event.clientY - home.top + 12}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  if (isKept) return;
  svg.addEventListener("wheel", event => {
    event.preventDefault();
    const x = Math.min(1, Math.max(0, where(event)[0])), centre = low + x * span;
    span = Math.min(WIDTH, Math.max(WIDTH * 8 / Math.max(8, at.steps),
                                    span * (event.deltaY < 0 ? 0.8 : 1.25)));
    low = Math.min(WIDTH - span, Math.max(0, centre - x * span));
    zoom();
  }, { passive: false });
  svg.addEventListener("dblclick", () => { low = 0; span = WIDTH; zoom(); });
});
"""

__all__ = ["SCRIPT", "STYLE"]
