(() => {
  "use strict";
  const PLANE = 100000;
  const svg = (name, attributes = {}, words = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    made.textContent = words;
    return made;
  };
  const numbers = (line) => line.getAttribute("points").split(/[ ,]/).map(Number);

  // A place from 0 to 1 as the value that it stands for, and back.
  const value = (axis, place) => axis.log
    ? 10 ** (Math.log10(axis.low) + place * (Math.log10(axis.high) - Math.log10(axis.low)))
    : axis.low + place * (axis.high - axis.low);
  const place = (axis, number) => axis.log
    ? (Math.log10(number) - Math.log10(axis.low)) / (Math.log10(axis.high) - Math.log10(axis.low))
    : (number - axis.low) / (axis.high - axis.low);
  // No more digits than the plane can tell apart.
  const shown = (axis, number) => {
    if (axis.log) return String(Number(number.toPrecision(4)));
    const digits = 4 - Math.floor(Math.log10(axis.high - axis.low));
    return String(digits < 0 ? Math.round(number) : Number(number.toFixed(Math.min(digits, 100))));
  };
  const short = (number) => String(Number(number.toPrecision(6)));

  // Marks for the part of an axis between two places, as [place, words].
  const ticks = (axis, from, to, most) => {
    if (axis.ticks) {
      const inside = axis.ticks.filter(([at]) => at >= from && at <= to), step = Math.ceil(inside.length / 12);
      return inside.filter((_, at) => at % step === 0).map(([at, words]) => [at, words.slice(0, Math.max(7, 80 / inside.length))]);
    }
    const low = value(axis, from), high = value(axis, to);
    if (axis.log && high / low > 30) {
      const found = [];
      for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) found.push(10 ** power);
      const step = Math.ceil(found.length / most);
      return found.filter((_, at) => at % step === 0).map((one) => [place(axis, one), short(one)]);
    }
    const least = (high - low) / most, power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= least * (1 - 1e-9)) || least;
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9 && found.length <= most; at++) {
      found.push([place(axis, at * step), short(at * step)]);
    }
    return found;
  };

  const tip = (figure) => {
    const box = document.createElement("div");
    box.className = "tip";
    box.hidden = true;
    figure.append(box);
    return {
      hide: () => { box.hidden = true; },
      show: (words, event) => {
        box.textContent = words;
        box.hidden = false;
        const rect = figure.getBoundingClientRect();
        const x = event.clientX - rect.left, y = event.clientY - rect.top;
        box.style.left = (x + 14 + box.offsetWidth > rect.width ? Math.max(0, x - 14 - box.offsetWidth) : x + 14) + "px";
        box.style.top = Math.max(0, y - box.offsetHeight - 8) + "px";
      },
    };
  };

  const wireChart = (figure, chart) => {
    const axes = JSON.parse(chart.dataset.axes), [left, top, wide, high] = axes.plot;
    const plane = chart.querySelector(".plane"), grid = chart.querySelector(".grid"), says = tip(figure);
    const groups = [...plane.querySelectorAll(".mark")];
    const cursor = chart.appendChild(svg("circle", { class: "cursor", r: 5, visibility: "hidden" }));
    let view = [0, 0, PLANE, PLANE], points = null, start = null, select = null;

    const pixel = (event) => {
      const rect = chart.getBoundingClientRect(), scale = rect.width / chart.viewBox.baseVal.width;
      return [(event.clientX - rect.left) / scale, (event.clientY - rect.top) / scale];
    };
    const inside = ([x, y]) => x >= left && x <= left + wide && y >= top && y <= top + high;
    const across = (x) => left + (x - view[0]) / view[2] * wide;
    const down = (y) => top + (y - view[1]) / view[3] * high;
    const all = () => points || (points = groups.map((group) => {
      const found = [];
      for (const line of group.querySelectorAll("polyline:not(.raw):not(.box)")) found.push(...numbers(line));
      return found;
    }));

    const draw = () => {
      plane.setAttribute("viewBox", view.join(" "));
      grid.replaceChildren();
      for (const [at, words] of ticks(axes.y, 1 - (view[1] + view[3]) / PLANE, 1 - view[1] / PLANE, 6)) {
        const y = down((1 - at) * PLANE);
        grid.append(svg("line", { x1: left, x2: left + wide, y1: y, y2: y }));
        grid.append(svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, words.slice(0, axes.y.ticks ? 8 : 10)));
      }
      for (const [at, words] of ticks(axes.x, view[0] / PLANE, (view[0] + view[2]) / PLANE, 7)) {
        const x = across(at * PLANE);
        grid.append(svg("line", { x1: x, x2: x, y1: top, y2: top + high }));
        grid.append(svg("text", { x, y: top + high + 16, "text-anchor": "middle" }, words));
      }
    };

    const hover = (event) => {
      const [x, y] = pixel(event);
      let best = 40 * 40, found = null;
      if (inside([x, y])) all().forEach((line, group) => {
        if (groups[group].classList.contains("off")) return;
        for (let at = 0; at < line.length; at += 2) {
          const far = (across(line[at]) - x) ** 2 + (down(line[at + 1]) - y) ** 2;
          if (far < best) { best = far; found = [group, line[at], line[at + 1]]; }
        }
      });
      groups.forEach((group, at) => group.classList.toggle("hot", found !== null && found[0] === at));
      cursor.setAttribute("visibility", found ? "visible" : "hidden");
      if (!found) { says.hide(); return; }
      cursor.setAttribute("cx", across(found[1]));
      cursor.setAttribute("cy", down(found[2]));
      const label = groups[found[0]].dataset.label;
      says.show(axes.values
        ? `${label}\n${shown(axes.x, value(axes.x, found[1] / PLANE))}: ${shown(axes.y, value(axes.y, 1 - found[2] / PLANE))}`
        : label, event);
    };

    // Dragging chooses what to see: across alone when the drag is flat, else both ways.
    const corners = ([x, y]) => {
      const flat = Math.abs(y - start[1]) < 12;
      return [
        Math.max(left, Math.min(x, start[0])), flat ? top : Math.max(top, Math.min(y, start[1])),
        Math.min(left + wide, Math.max(x, start[0])), flat ? top + high : Math.min(top + high, Math.max(y, start[1])),
      ];
    };
    chart.addEventListener("pointerdown", (event) => {
      if (event.button || !inside(pixel(event))) return;
      start = pixel(event);
      chart.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    chart.addEventListener("pointermove", (event) => {
      if (!start) { hover(event); return; }
      const [x1, y1, x2, y2] = corners(pixel(event));
      select = select || chart.appendChild(svg("rect", { class: "select" }));
      for (const [key, size] of [["x", x1], ["y", y1], ["width", x2 - x1], ["height", y2 - y1]]) select.setAttribute(key, size);
    });
    chart.addEventListener("pointerup", (event) => {
      if (!start) return;
      const [x1, y1, x2, y2] = corners(pixel(event));
      if (select && x2 - x1 > 6 && view[2] > 50) {
        view = [
          view[0] + (x1 - left) / wide * view[2], view[1] + (y1 - top) / high * view[3],
          (x2 - x1) / wide * view[2], Math.max(1, (y2 - y1) / high * view[3]),
        ];
        draw();
      }
      if (select) select.remove();
      start = select = null;
    });
    chart.addEventListener("pointerleave", () => {
      if (start) return;
      says.hide();
      cursor.setAttribute("visibility", "hidden");
      groups.forEach((group) => group.classList.remove("hot"));
    });
    chart.addEventListener("dblclick", () => { view = [0, 0, PLANE, PLANE]; draw(); });

    figure.querySelectorAll(".legend button").forEach((button, at) => {
      button.addEventListener("click", () => {
        const off = groups[at].classList.toggle("off");
        button.setAttribute("aria-pressed", String(!off));
      });
      button.addEventListener("pointerenter", () => groups[at].classList.add("hot"));
      button.addEventListener("pointerleave", () => groups[at].classList.remove("hot"));
    });
  };

  // Parallel coordinates: a drag along an axis keeps the runs that pass there, a click on it lets all pass again.
  const wireParallel = (figure, chart) => {
    const { lanes, top, bottom } = JSON.parse(chart.dataset.parallel), says = tip(figure);
    const runs = [...chart.querySelectorAll("polyline.run")], note = figure.querySelector(".count");
    const lines = runs.map(numbers), brushes = new Map();
    let start = null;
    const pixel = (event) => {
      const rect = chart.getBoundingClientRect(), scale = rect.width / chart.viewBox.baseVal.width;
      return [(event.clientX - rect.left) / scale, (event.clientY - rect.top) / scale];
    };
    const nearest = (x) => lanes.reduce((best, at, index) => Math.abs(at - x) < Math.abs(lanes[best] - x) ? index : best, 0);
    const passes = (line) => [...brushes].every(([lane, { from, to }]) => line[2 * lane + 1] >= from && line[2 * lane + 1] <= to);
    const update = () => {
      let count = 0;
      runs.forEach((run, at) => {
        const in_ = passes(lines[at]);
        count += in_;
        run.classList.toggle("out", !in_);
      });
      note.textContent = brushes.size ? `${count} of ${runs.length} runs` : note.dataset.all;
    };
    const release = (lane) => {
      if (brushes.has(lane)) { brushes.get(lane).rect.remove(); brushes.delete(lane); }
    };
    chart.addEventListener("pointerdown", (event) => {
      const [x, y] = pixel(event), lane = nearest(x);
      if (event.button || Math.abs(lanes[lane] - x) > 18) return;
      start = { lane, y };
      release(lane);
      update();
      chart.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    chart.addEventListener("pointermove", (event) => {
      const [x, y] = pixel(event);
      if (start) {
        const from = Math.max(top - 8, Math.min(y, start.y)), to = Math.min(bottom + 8, Math.max(y, start.y));
        if (to - from < 4) return;
        release(start.lane);
        const rect = svg("rect", { class: "brush", x: lanes[start.lane] - 9, width: 18, y: from, height: to - from });
        brushes.set(start.lane, { from, to, rect: chart.appendChild(rect) });
        update();
        return;
      }
      let best = 10, found = -1;
      const lane = lanes.findIndex((at) => at > x);
      if (lane > 0) lines.forEach((line, at) => {
        if (runs[at].classList.contains("out")) return;
        const part = (x - lanes[lane - 1]) / (lanes[lane] - lanes[lane - 1]);
        const far = Math.abs(line[2 * lane - 1] * (1 - part) + line[2 * lane + 1] * part - y);
        if (far < best) { best = far; found = at; }
      });
      runs.forEach((run, at) => run.classList.toggle("hot", at === found));
      if (found < 0) says.hide(); else says.show(runs[found].dataset.label, event);
    });
    chart.addEventListener("pointerup", () => { start = null; });
    chart.addEventListener("pointerleave", () => { says.hide(); runs.forEach((run) => run.classList.remove("hot")); });
  };

  for (const figure of document.querySelectorAll("figure.gittrack")) {
    const chart = figure.querySelector("svg[data-axes]"), lanes = figure.querySelector("svg[data-parallel]");
    if (chart) wireChart(figure, chart);
    if (lanes) wireParallel(figure, lanes);
  }
})();
