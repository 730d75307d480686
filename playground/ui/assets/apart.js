// How far apart the columns are: a number for each pair, and a chart over the tokens that a pair shares. See ui/apart.py.
// value: {run, lane}; or null.
// Function: apart({run, texts, left, right}) gives {sentence, running, columns: [{letter, colour, name}],
//   pairs: [[left, right, low, high], …], chart: {left, right, told, words, others, low, high}}.
// Event: pick {run, lane, output, step, …}: a token of the chart.
const [figure, sentence, matrix, told, chart, fault] = ['.apart', '.sentence', '.matrix', '.told', '.line-chart', '.fault']
  .map((s) => element.querySelector(s));
let found = null;
let pair = [0, 1];
let asked = null;
let at = null; // the token of the chart that is described
let show = () => {}; // describes a token of the chart, or all of them for null

const { part, shape } = playground;
const number = (low, high) => {
  if (low === null || high === null) return '—';
  const [first, last] = [low.toFixed(2), high.toFixed(2)];
  return first === last ? first : `${first}–${last}`;
};
const quoted = (text) => `“${text.replace(/\n/g, '↵').replace(/\t/g, '⇥')}”`;

async function ask() {
  const v = props.value;
  element.hidden = !v;
  if (!v || !element.offsetParent) return;
  const { texts } = playground.reference.view();
  const what = { run: v.run, texts, left: pair[0], right: pair[1] };
  const key = JSON.stringify(what);
  if (key === asked && found && !found.running) return;
  asked = key;
  const answer = (await server.apart(what)) ?? { fault: 'The server did not answer.' };
  if (key !== asked) return;
  fault.hidden = !answer.fault;
  fault.textContent = answer.fault ?? '';
  if (answer.fault) return;
  found = answer;
  draw();
}

function draw() {
  sentence.textContent = found.sentence;
  const focused = document.activeElement?.dataset?.pair;
  const { columns, pairs } = found;
  const known = new Map(pairs.map(([l, r, low, high]) => [`${l},${r}`, [low, high]]));
  const badge = ({ letter, colour }) => {
    const made = part('b', { className: 'badge', textContent: letter });
    made.style.setProperty('--colour', colour);
    return made;
  };
  const table = part('table', {});
  table.append(part('caption', { textContent: 'Distance of each pair of columns' }));
  if (columns.length) {
    const head = part('tr', {}, part('td', {}));
    for (const column of columns.slice(1)) head.append(part('th', { scope: 'col' }, badge(column)));
    table.append(head);
  }
  columns.slice(0, -1).forEach((column, l) => {
    const row = part('tr', {}, part('th', { scope: 'row' }, badge(column)));
    columns.slice(1).forEach((_, n) => {
      const r = n + 1;
      const bounds = known.get(`${l},${r}`);
      const cell = part('td', {});
      if (bounds) {
        const chosen = found.chart.left === l && found.chart.right === r;
        const button = part('button', { type: 'button', textContent: number(...bounds) });
        button.dataset.pair = `${l},${r}`;
        button.setAttribute('aria-pressed', String(chosen));
        button.setAttribute('aria-label', `${column.letter} and ${columns[r].letter}: ${number(...bounds)}`);
        button.style.setProperty('--share', bounds[0] === null ? 0 : (bounds[0] + bounds[1]) / 2);
        button.addEventListener('click', () => { pair = [l, r]; ask(); });
        cell.append(button);
      }
      row.append(cell);
    });
    table.append(row);
  });
  matrix.replaceChildren(...(columns.length ? [table] : []));
  if (focused) matrix.querySelector(`[data-pair="${focused}"]`)?.focus();
  plot();
}

// The arrow keys go from number to number.
matrix.addEventListener('keydown', (event) => {
  const [l, r] = (event.target.dataset.pair ?? '').split(',').map(Number);
  const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const next = by && matrix.querySelector(`[data-pair="${l + by[0]},${r + by[1]}"]`);
  if (!by) return;
  event.preventDefault();
  next?.focus();
});

function plot() {
  const c = found.chart;
  told.textContent = c?.told ?? '';
  chart.replaceChildren();
  if (!c || !c.low.length) return;
  const scale = parseFloat(getComputedStyle(element).getPropertyValue('--pg-type')) || 1;
  const [width, height] = [Math.max(220, chart.clientWidth), 132 * scale];
  const [left, right, top, bottom] = [30 * scale, 10, 8, 22 * scale];
  const n = c.low.length;
  const x = (i) => left + ((i + 0.5) * (width - left - right)) / n;
  const y = (d) => top + (1 - d) * (height - top - bottom);
  const svg = shape('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': c.told });
  for (const d of [0, 0.5, 1]) {
    svg.append(shape('line', { x1: left, x2: width - right, y1: y(d), y2: y(d), class: 'grid' }));
    const label = shape('text', { x: left - 5, y: y(d) + 4, class: 'tick', 'text-anchor': 'end' });
    label.textContent = d;
    svg.append(label);
  }
  const last = shape('text', { x: width - right, y: height - 6, class: 'tick', 'text-anchor': 'end' });
  last.textContent = `token ${n}`;
  const first = shape('text', { x: left, y: height - 6, class: 'tick' });
  first.textContent = n > 4 ? 'token 1' : '';
  svg.append(first, last);
  const colour = found.columns[c.right].colour;
  const edge = (line, order) => order.map((i) => `${x(i)},${y(line[i])}`);
  const up = [...c.low.keys()];
  svg.append(shape('polygon', { points: [...edge(c.high, up), ...edge(c.low, up.toReversed())].join(' '), fill: colour, 'fill-opacity': 0.28 }));
  const middle = c.low.map((low, i) => (low + c.high[i]) / 2);
  svg.append(shape('polyline', { points: edge(middle, up).join(' '), fill: 'none', stroke: colour, 'stroke-width': 2 }));
  const parts = c.words[n - 1] !== c.others[n - 1];
  if (n < 80 || parts) {
    for (const i of n < 80 ? up : [n - 1])
      svg.append(shape('circle', { cx: x(i), cy: y(middle[i]), r: i === n - 1 && parts ? 4.5 : 2.5, fill: colour }));
  }
  const cursor = shape('line', { y1: top, y2: height - bottom, class: 'cursor' });
  at = null;
  show = (i) => {
    at = i;
    cursor.remove();
    if (i === null) { told.textContent = c.told; return; }
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, x(i));
    svg.append(cursor);
    const other = c.words[i] === c.others[i] ? '' : ` and ${quoted(c.others[i])}`;
    told.textContent = `Token ${i + 1}, ${quoted(c.words[i])}${other}: ${number(c.low[i], c.high[i])}`;
  };
  svg.addEventListener('pointermove', (event) => show(under(event, width, left, right, n)));
  svg.addEventListener('pointerleave', () => show(null));
  svg.addEventListener('click', (event) => pick(under(event, width, left, right, n)));
  chart.append(svg);
}
function pick(step) {
  const { right } = found.chart;
  const { texts, ...view } = playground.reference.view();
  trigger('pick', { ...view, texts, run: props.value.run, lane: right, output: texts[right] ?? 0, step });
}
// The arrow keys go from token to token, and Enter inspects one.
chart.tabIndex = 0;
chart.setAttribute('role', 'application');
chart.setAttribute('aria-label', 'Distance token by token');
chart.addEventListener('keydown', (event) => {
  const last = (found?.chart?.low.length ?? 0) - 1;
  if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowLeft: (at ?? 1) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last }[event.key];
  if (event.key === 'Enter') pick(at ?? last);
  else if (to !== undefined) show(Math.max(0, Math.min(to, last)));
  else return;
  event.preventDefault();
});
chart.addEventListener('blur', () => show(null));
function under(event, width, left, right, n) {
  const at = event.clientX - chart.getBoundingClientRect().left - left;
  return Math.max(0, Math.min(n - 1, Math.floor((at / (width - left - right)) * n)));
}

playground.save(figure, () => found?.chart && {
  name: 'apart',
  columns: ['left', 'right', 'token', 'of left', 'of right', 'at least', 'at most'],
  rows: [
    ...found.pairs.map(([l, r, low, high]) => [found.columns[l].letter, found.columns[r].letter, 'mean', null, null, low, high]),
    ...found.chart.low.map((low, i) => [found.columns[found.chart.left].letter, found.columns[found.chart.right].letter,
      i + 1, found.chart.words[i], found.chart.others[i], low, found.chart.high[i]]),
  ],
});
document.addEventListener('playground:branches', function moved() {
  if (!element.isConnected) return document.removeEventListener('playground:branches', moved);
  ask();
});
let wide = 0;
new ResizeObserver(() => {
  if (!found || !chart.clientWidth || chart.clientWidth === wide) return;
  wide = chart.clientWidth;
  plot();
}).observe(chart);
watch('value', ask);
ask();
