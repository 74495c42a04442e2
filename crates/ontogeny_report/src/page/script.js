// Read-outs under the pointer and the copy button; the report is complete without them.
"use strict";
(() => {
  const tip = document.getElementById("tip");
  const format = (v) => {
    const size = Math.abs(v);
    if (size !== 0 && (size < 1e-4 || size >= 1e9)) return v.toExponential(3).replace("-", "\u2212");
    return String(Number.isInteger(v) ? v : Number(v.toPrecision(5))).replace(/^-/, "\u2212");
  };
  const show = (text, event) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 14 : event.clientX + 14;
    const top = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, top) + "px";
  };
  const hide = () => { tip.hidden = true; };

  // Browser tooltips are slow and small; their text moves to the read-out.
  for (const title of document.querySelectorAll("svg.og title")) {
    const mark = title.parentNode;
    if (mark.matches("svg")) mark.setAttribute("aria-label", title.textContent);
    else mark.dataset.tip = title.textContent;
    title.remove();
  }

  const scale = (text) => {
    const [kind, lo, hi, from, to, zero] = text.split(" ");
    const f = kind === "log" ? Math.log : (v) => v;
    const a = f(+lo), b = f(+hi);
    return {
      at: (v) => kind === "log" && v <= 0 ? (v === 0 && zero ? +zero : NaN) : +from + (f(v) - a) / (b - a) * (to - from),
      back: (p) => { const v = a + (p - from) / (to - from) * (b - a); return kind === "log" ? Math.exp(v) : v; },
    };
  };
  const rows = (csv) => {
    const out = [];
    let row = [], cell = "", quoted = false;
    for (let i = 0; i < csv.length; i++) {
      const c = csv[i];
      if (quoted) {
        if (c !== '"') cell += c;
        else if (csv[i + 1] === '"') { cell += c; i++; }
        else quoted = false;
      } else if (c === '"') quoted = true;
      else if (c === ",") { row.push(cell); cell = ""; }
      else if (c === "\n") { row.push(cell); out.push(row); row = []; cell = ""; }
      else cell += c;
    }
    return out.slice(1);
  };
  const number = (text) => text === "" ? NaN : Number(text);

  for (const figure of document.querySelectorAll("figure")) {
    let table = null;
    const read = () => {
      if (table) return table;
      const link = figure.querySelector("a.csv");
      const text = link ? decodeURIComponent(link.getAttribute("href").replace(/^[^,]*,/, "")) : "";
      table = rows(text);
      return table;
    };
    for (const svg of figure.querySelectorAll("svg.og")) {
      const ring = document.createElementNS(svg.namespaceURI, "circle");
      ring.setAttribute("r", "5");
      ring.setAttribute("class", "ho");
      ring.setAttribute("fill-opacity", "0");
      ring.setAttribute("stroke-width", "2");
      ring.setAttribute("pointer-events", "none");
      ring.style.display = "none";
      svg.append(ring);
      const plots = [...svg.querySelectorAll(".plot")].map((plot) => {
        const hit = plot.querySelector(".hit");
        const box = ["x", "y", "width", "height"].map((name) => +hit.getAttribute(name));
        return { plot, box, x: scale(plot.dataset.x), y: scale(plot.dataset.y), marks: null };
      });
      const marks = (p) => {
        if (p.marks) return p.marks;
        p.marks = [];
        p.named = [];
        for (const [panel, kind, name, x, y] of read()) {
          if (panel !== p.plot.dataset.panel || kind === "band") continue;
          const vx = number(x), vy = number(y);
          const px = p.x.at(vx), py = p.y.at(vy);
          if (kind === "marker" && Number.isFinite(px)) p.named.push({ px, vx, name });
          else if (Number.isFinite(px) && Number.isFinite(py)) p.marks.push({ px, py, vx, vy, name });
        }
        return p.marks;
      };
      const readPlot = (p, at, event) => {
        const label = (name, text) => (name ? name + "\n" : "") + text;
        if (p.plot.classList.contains("cells")) {
          let best = null, distance = Infinity;
          const vx = at.x, vy = at.y;
          for (const [x, y, value] of read()) {
            const d = Math.hypot(p.x.at(+x) - vx, p.y.at(+y) - vy);
            if (d < distance) { distance = d; best = [+x, +y, number(value)]; }
          }
          if (!best) return false;
          const value = Number.isNaN(best[2]) ? "not measured" : format(best[2]);
          show(`${value}\n${p.plot.dataset.name || "x"} ${format(best[0])}, ${p.plot.dataset.row || "y"} ${format(best[1])}`, event);
          return true;
        }
        let best = null, distance = 26;
        for (const m of marks(p)) {
          const d = Math.hypot((m.px - at.x), (m.py - at.y));
          if (d < distance) { distance = d; best = m; }
        }
        const named = p.named.find((m) => Math.abs(m.px - at.x) < 4);
        if (named && distance > 7) {
          show(label(named.name, `${p.plot.dataset.name || "x"} ${format(named.vx)}`), event);
          return true;
        }
        if (!best) return false;
        ring.setAttribute("cx", best.px);
        ring.setAttribute("cy", best.py);
        ring.style.display = "";
        show(label(best.name, `${p.plot.dataset.name || "x"} ${format(best.vx)}: ${format(best.vy)}`), event);
        return true;
      };
      svg.addEventListener("pointermove", (event) => {
        ring.style.display = "none";
        const matrix = svg.getScreenCTM();
        if (!matrix) return;
        const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
        const inside = plots.find((p) => at.x >= p.box[0] - 6 && at.x <= p.box[0] + p.box[2] + 6 &&
          at.y >= p.box[1] - 4 && at.y <= p.box[1] + p.box[3] + 4);
        if (inside && readPlot(inside, at, event)) return;
        const mark = event.target.closest("[data-tip]");
        if (mark) show(mark.dataset.tip, event); else hide();
      });
      svg.addEventListener("pointerleave", () => { ring.style.display = "none"; hide(); });
    }
  }

  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentNode.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
})();
