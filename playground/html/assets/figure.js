// Draws the figures of playground/charts as SVG, in the place of Plotly, whose library is forty times
// as long as all that is here: lines, points and bars on linear and logarithmic axes, shapes and notes.
// What a figure holds of markup (<b>, <br>, <span style="color:…">, entities) is read into nodes.
const drawing = (() => {
  const NEAR = 14; // pixels from a point at which it is told
  const svg = (name, given = {}, parent = null) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(given)) if (value !== undefined) node.setAttribute(key, value);
    parent?.append(node);
    return node;
  };
  const at = (given, i) => (Array.isArray(given) ? given[i] : given);

  // Text with marks as lines of runs: [[{text, bold, colour}, …], …].
  function runs(marked) {
    const lines = [[]];
    const open = [];
    for (const [part, close, tag, rest, entity] of String(marked).matchAll(/<(\/?)(\w+)([^>]*)>|&(#?\w+);|[^<&]+|[<&]/g)) {
      if (tag === 'br') lines.push([]);
      else if (tag && close) open.pop();
      else if (tag) open.push({ bold: tag === 'b', colour: /color:\s*([^;"']+)/.exec(rest)?.[1] });
      else {
        const known = { lt: '<', gt: '>', amp: '&', quot: '"', nbsp: '\u00a0' };
        const text = !entity ? part : entity[0] === '#' ? String.fromCodePoint(Number(entity.slice(1))) : known[entity] ?? part;
        lines.at(-1).push({ text, bold: open.some((o) => o.bold), colour: open.findLast((o) => o.colour)?.colour });
      }
    }
    return lines;
  }

  // A number of an axis as it is written: 0.25, 12,000.
  const written = (value) => Number(value.toPrecision(6)).toLocaleString('en-US');
  function ticks({ range: [low, high], nticks = 8, tickvals, ticktext, ticksuffix = '', type }) {
    if (tickvals) return tickvals.map((value, i) => [type === 'log' ? Math.log10(value) : value, String(ticktext?.[i] ?? value)]);
    const rough = (high - low) / Math.max(1, nticks);
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((n) => n * unit >= rough - 1e-12);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n += 1)
      found.push([n * step, written(n * step) + ticksuffix]);
    return found;
  }

  function draw(chart, data, layout) {
    const [width, height] = [chart.clientWidth, layout.height];
    const margin = { l: 60, r: 10, t: 10, b: 40, ...layout.margin };
    const inner = { width: Math.max(10, width - margin.l - margin.r), height: Math.max(10, height - margin.t - margin.b) };
    const root = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    chart.replaceChildren(root);
    const size = layout.font?.size ?? 12;
    const told = []; // what can be pointed at: {trace, i, x, y, box}

    const axes = {};
    for (const [key, given] of Object.entries({ xaxis: {}, yaxis: {}, ...layout })) {
      const named = /^([xy])axis(\d*)$/.exec(key);
      if (!named) continue;
      const [from, to] = given.domain ?? [0, 1];
      const [low, high] = given.range ?? [0, 1];
      const start = named[1] === 'x' ? margin.l + from * inner.width : margin.t + (1 - from) * inner.height;
      const span = (to - from) * (named[1] === 'x' ? inner.width : -inner.height);
      axes[named[1] + named[2]] = { range: [low, high], ...given, letter: named[1], start, span,
        // Where notes and shapes put a value: on a logarithmic axis they give its logarithm.
        on: (value) => start + ((value - low) / (high - low)) * span,
        of(value) { return this.on(given.type === 'log' ? Math.log10(value) : value); } };
    }
    // A position as notes and shapes give it: on an axis, over an axis' length, or over the figure's.
    function place(letter, reference, value) {
      if (reference === 'paper') return letter === 'x' ? margin.l + value * inner.width : margin.t + (1 - value) * inner.height;
      const [name, domain] = (reference ?? letter).split(' ');
      return domain ? axes[name].start + value * axes[name].span : axes[name].on(value);
    }

    // Text of several runs at a point, aligned as Plotly says.
    function label(parent, marked, x, y, { anchor = 'left', middle = 'middle', font = {}, colour, opacity } = {}) {
      const type = font.size ?? size;
      const lines = runs(marked);
      const node = svg('text', { x, 'font-size': type, fill: font.color ?? colour ?? layout.font?.color ?? 'currentColor', opacity,
        'text-anchor': { left: 'start', center: 'middle', right: 'end' }[anchor] }, parent);
      const high = type * 1.3;
      const top = { top: y, middle: y - (lines.length * high) / 2, bottom: y - lines.length * high }[middle];
      lines.forEach((line, i) => {
        line.forEach(({ text, bold, colour: own }, j) => {
          const part = svg('tspan', j ? {} : { x, y: top + i * high + type }, node);
          part.textContent = text;
          if (bold) part.style.fontWeight = 700;
          if (own) part.style.fill = own;
        });
      });
      return node;
    }

    function axis(one, under) {
      if (one.visible === false) return;
      const across = one.letter === 'x' ? [margin.t, margin.t + inner.height] : [margin.l, margin.l + inner.width];
      const foot = one.letter === 'x' ? (axes[one.anchor] ? axes[one.anchor].start : margin.t + inner.height) : margin.l;
      for (const [value, text] of ticks(one)) {
        const here = one.on(value);
        if (here < Math.min(one.start, one.start + one.span) - 1 || here > Math.max(one.start, one.start + one.span) + 1) continue;
        if (under) {
          const zero = value === 0 && one.zeroline !== false;
          if (one.showgrid === false && !(zero && one.letter === 'y')) continue;
          const ends = one.letter === 'x' ? { x1: here, x2: here, y1: across[0], y2: across[1] } : { y1: here, y2: here, x1: across[0], x2: across[1] };
          svg('line', { ...ends, stroke: zero ? one.zerolinecolor : one.gridcolor, 'stroke-width': 1 }, root);
        } else if (one.letter === 'x') label(root, text, here, foot + 4, { anchor: 'center', middle: 'top', font: one.tickfont });
        else label(root, text, margin.l - 5, here, { anchor: 'right', font: one.tickfont });
      }
      const title = one.title?.text ?? '';
      if (title && !under && one.letter === 'x')
        label(root, title, one.start + one.span / 2, foot + 5 + 1.5 * size, { anchor: 'center', middle: 'top', font: one.title.font });
    }

    function shape(one) {
      if (one.type === 'circle') { // in pixels around a point
        const [x, y] = [axes[one.xref ?? 'x'].of(one.xanchor), axes[one.yref ?? 'y'].of(one.yanchor)];
        svg('circle', { cx: x, cy: y, r: (one.x1 - one.x0) / 2, fill: one.fillcolor, stroke: one.line?.color, 'stroke-width': one.line?.width }, root);
        return;
      }
      const [x0, x1] = [one.x0, one.x1].map((value) => place('x', one.xref, value));
      const [y0, y1] = [one.y0, one.y1].map((value) => place('y', one.yref, value));
      const stroke = one.line?.width === 0 ? undefined : one.line?.color;
      const dash = { dot: '1.5 3', dash: '6 4' }[one.line?.dash];
      if (one.type === 'line')
        svg('line', { x1: x0, x2: x1, y1: y0, y2: y1, stroke, 'stroke-width': one.line?.width ?? 2, 'stroke-dasharray': dash }, root);
      else
        svg('rect', { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0),
          fill: one.fillcolor ?? 'none', stroke, 'stroke-width': one.line?.width }, root);
    }

    function scatter(trace, x, y) {
      const points = trace.x.map((value, i) => [x.of(value), y.of(trace.y[i])]);
      const known = points.filter(([, value]) => Number.isFinite(value));
      if (trace.mode?.includes('lines')) {
        const path = known.map(([px, py], i) => (!i ? `M${px},${py}` : trace.line?.shape === 'hv' ? `H${px}V${py}` : `L${px},${py}`));
        svg('path', { d: path.join(''), fill: 'none', stroke: trace.line?.color, 'stroke-width': trace.line?.width ?? 2, 'stroke-linejoin': 'round',
          'stroke-dasharray': { dot: '1.5 3', dash: '6 4' }[trace.line?.dash] }, root);
      }
      points.forEach(([px, py], i) => {
        if (!Number.isFinite(py)) return;
        if (trace.mode?.includes('markers'))
          svg('circle', { cx: px, cy: py, r: (at(trace.marker?.size, i) ?? 6) / 2, fill: at(trace.marker?.color, i) }, root);
        if (trace.hoverinfo !== 'skip') told.push({ trace, i, x: px, y: py });
      });
    }

    const stacked = new Map(); // by axis and place, how high the bars are there
    function bar(trace, x, y) {
      const flat = trace.orientation === 'h';
      const [along, over] = flat ? [x, y] : [y, x];
      const [lengths, places] = flat ? [trace.x, trace.y] : [trace.y, trace.x];
      places.forEach((where, i) => {
        const key = `${trace.yaxis} ${trace.xaxis} ${where}`;
        const base = layout.barmode === 'stack' ? stacked.get(key) ?? 0 : at(trace.base, i) ?? 0;
        stacked.set(key, base + lengths[i]);
        const thick = at(trace.width, i) ?? 0.8;
        const [from, to] = [along.of(base), along.of(base + lengths[i])].sort((a, b) => a - b);
        const [low, high] = [over.of(where - thick / 2), over.of(where + thick / 2)].sort((a, b) => a - b);
        const box = flat ? { x: from, y: low, width: to - from, height: high - low } : { x: low, y: from, width: high - low, height: to - from };
        const outline = at(trace.marker?.line?.width, i);
        svg('rect', { ...box, fill: at(trace.marker?.color, i), stroke: outline ? at(trace.marker.line.color, i) : undefined }, root);
        if (trace.hoverinfo !== 'skip') told.push({ trace, i, box, x: box.x + box.width / 2, y: box.y });
      });
    }

    function note(one) {
      const sided = (reference) => /paper|domain/.test(reference ?? '');
      const third = (value, names) => names[value < 1 / 3 ? 0 : value > 2 / 3 ? 2 : 1];
      const anchor = one.xanchor ?? (sided(one.xref) ? third(one.x, ['left', 'center', 'right']) : 'center');
      const middle = one.yanchor ?? (sided(one.yref) ? third(one.y, ['bottom', 'middle', 'top']) : 'middle');
      const pad = one.borderpad ?? 1;
      const side = one.bgcolor ? { left: pad + 1, right: -pad - 1, center: 0 }[anchor] : 0;
      const x = place('x', one.xref, one.x) + (one.xshift ?? 0) + side;
      const y = place('y', one.yref, one.y) - (one.yshift ?? 0);
      const group = svg('g', {}, root);
      const node = label(group, one.text, x, y, { anchor, middle, font: one.font, opacity: one.opacity });
      if (!one.bgcolor) return;
      const box = node.getBBox();
      group.prepend(svg('rect', { x: box.x - pad - 1, y: box.y - pad + 1, width: box.width + 2 * pad + 2, height: box.height + 2 * pad - 2, rx: 3, fill: one.bgcolor }));
    }

    const shapes = layout.shapes ?? [];
    for (const one of Object.values(axes)) axis(one, true);
    for (const one of shapes) if (one.layer === 'below') shape(one);
    for (const trace of data) {
      const [x, y] = [axes[trace.xaxis ?? 'x'], axes[trace.yaxis ?? 'y']];
      if (trace.type === 'bar') bar(trace, x, y);
      else scatter(trace, x, y);
    }
    for (const one of shapes) if (one.layer !== 'below') shape(one);
    for (const one of Object.values(axes)) axis(one, false);
    for (const one of layout.annotations ?? []) note(one);
    return told;
  }

  // A hover template filled in: its variables, and %{y:.2f}.
  function filled({ trace, i }) {
    const template = trace.hovertemplate ?? '%{y}';
    return template.replace(/<extra>.*?<\/extra>/g, '').replace(/%\{(\w+)(?:\[(\d+)\])?(?::\.(\d)f)?\}/g, (_, name, index, digits) => {
      let value = at(trace[name], i);
      if (index !== undefined) value = value?.[index];
      return digits && typeof value === 'number' ? value.toFixed(digits) : value ?? '';
    });
  }

  // What is under the pointer: a bar that holds it, or the nearest point.
  function under(told, x, y) {
    const bars = told.filter(({ box }) => box && x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height);
    if (bars.length) return bars.at(-1);
    const far = (one) => Math.hypot(one.x - x, one.y - y);
    const points = told.filter((one) => !one.box && far(one) < NEAR);
    return points.reduce((best, one) => (!best || far(one) < far(best) ? one : best), null);
  }

  const known = new WeakMap(); // by chart, what can be pointed at, and who is told of a click
  function made(chart) {
    const state = { told: [], clicked: [] };
    known.set(chart, state);
    const hover = Object.assign(document.createElement('p'), { className: 'hover', hidden: true });
    chart.on = (name, act) => { if (name === 'plotly_click') state.clicked.push(act); };
    const find = (event) => {
      const { left, top } = chart.getBoundingClientRect();
      return under(state.told, event.clientX - left, event.clientY - top);
    };
    chart.addEventListener('pointermove', (event) => {
      const one = find(event);
      hover.hidden = !one;
      chart.classList.toggle('told', Boolean(one?.trace.customdata?.[one.i] && state.clicked.length));
      if (!one) return;
      hover.replaceChildren(...runs(filled(one)).flatMap((line, i) => [
        ...(i ? [document.createElement('br')] : []),
        ...line.map(({ text, bold }) => Object.assign(document.createElement(bold ? 'b' : 'span'), { textContent: text })),
      ]));
      chart.append(hover);
      const to = Math.max(0, Math.min(one.x + 10, chart.clientWidth - hover.offsetWidth));
      hover.style.left = `${to}px`;
      hover.style.top = `${Math.max(0, one.y - hover.offsetHeight - 8)}px`;
    });
    chart.addEventListener('pointerleave', () => { hover.hidden = true; });
    chart.addEventListener('click', (event) => {
      const one = find(event);
      if (one) for (const act of state.clicked) act({ points: [{ customdata: one.trace.customdata?.[one.i] }] });
    });
    return state;
  }

  return {
    react(chart, data, layout) {
      const state = known.get(chart) ?? made(chart);
      state.told = draw(chart, data, layout);
      Object.assign(chart, { _fullData: data, layout }); // what a chart is saved from as a table
    },
    relayout(chart, change) { this.react(chart, chart._fullData, { ...chart.layout, ...change }); },
    Plots: { resize() {} }, // the element draws a chart of another width anew
  };
})();
window.Plotly = drawing;
window.playgroundPlotly = Promise.resolve(drawing); // where the page would fetch the library
