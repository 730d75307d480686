// A bar for every token of every column, all on one scale: rank, probability, entropy, or surprise; see ui/ribbon.py.
// value: {run, texts, lanes: [{letter, colour, ink, name}], after, of, marked: [lane, step]}. Function: figures({run, texts}).
// Event: point {data: [lane, step]}, by a click or Enter.
const [figure, sentence, measures, field, svg, told] = [
  '.ribbon', '.sentence', '.measures', '.field', 'svg', '.told',
].map((s) => element.querySelector(s));
const LEFT = 34;
const ROW = 34;
const { percent } = playground;
// For each measure: the height of a bar, the words for a value, and the largest value in words.
const MEASURES = {
  surprise: { of: ({ logprob }) => -logprob, tell: (x) => `${x.toFixed(2)} nats`, read: 'the taller the bar, the less likely was the token' },
  probability: { of: ({ logprob }) => Math.exp(logprob), tell: percent, most: 1, read: 'a full bar is a token that was certain' },
  rank: { of: ({ rank }) => Math.log2(rank), tell: (x) => `rank ${Math.round(2 ** x).toLocaleString('en')}`, read: 'no bar is rank 1, and each doubling adds as much' },
  entropy: { of: ({ entropy }) => entropy, tell: (x) => `${x.toFixed(2)} nats`, read: 'the taller the bar, the more open was the choice' },
};
let known = null; // {key, lanes: [[token, …], …]}
let measure = 'surprise';
let at = [0, 0]; // lane and step of the cursor
let marked = null; // the token that the cursor was put on last
let asking = null;
const picks = playground.picks();
let type = 1;
let unit = 8;

const { shape } = playground;

async function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v || !element.offsetParent) return;
  const key = JSON.stringify([v.run, v.texts, v.lanes.length]);
  const mark = JSON.stringify([key, v.marked]);
  if (!picks.stale(v.marked) && mark !== marked) [at, marked] = [v.marked, mark];
  if (known?.key === key) return render();
  if (asking === key) return;
  asking = key;
  const found = await server.figures({ run: v.run, texts: v.texts }).catch(() => null);
  if (asking !== key) return;
  asking = null;
  known = found?.lanes ? { key, lanes: found.lanes } : null;
  if (known) return render();
  sentence.textContent = found?.fault ?? 'The server did not answer.';
  svg.replaceChildren();
}

const token = (lane, step) => {
  const [text, ...figures] = known.lanes[lane]?.[step] ?? [];
  const [logprob, rank, entropy] = figures.slice(props.value.after ? 3 : 0);
  return { text, logprob, rank, entropy };
};

function render() {
  const v = props.value;
  if (!known || !v) return;
  type = parseFloat(getComputedStyle(figure).getPropertyValue('--pg-type')) || 1;
  const longest = Math.max(1, ...known.lanes.map((lane) => lane.length));
  const { of, tell, read } = MEASURES[measure];
  const values = known.lanes.map((lane, i) => lane.map((_, step) => of(token(i, step))));
  const most = MEASURES[measure].most ?? Math.max(1e-9, ...values.flat());
  sentence.textContent = `One bar for each token, with ${v.of}’s own ${measure}, on one scale for all columns: ${read}.`
    + ` The tallest stands for ${tell(most)}.`;
  unit = Math.max(4, Math.min(22, (field.clientWidth - LEFT * type - 8) / longest));
  const high = ROW * type;
  const body = high - 8;
  const parts = [];
  known.lanes.forEach((lane, i) => {
    const { letter, colour, ink } = v.lanes[i];
    const base = (i + 1) * high - 3;
    parts.push(
      shape('rect', { x: 4, y: base - body / 2 - 10 * type, width: 20 * type, height: 20 * type, rx: 4, fill: colour }),
      shape('text', { class: 'badge', x: 4 + 10 * type, y: base - body / 2 + 4.5 * type, 'text-anchor': 'middle', fill: ink }, letter),
      shape('path', { class: 'base', d: `M${LEFT * type} ${base + 0.5}h${lane.length * unit}` }),
      shape('path', { fill: colour, d: values[i].map((value, step) => {
        const tall = Math.max(value > 0 ? 1 : 0, (value / most) * body);
        const width = unit - (unit > 6 ? 1.5 : 0.5);
        return `M${(LEFT * type + step * unit).toFixed(1)} ${base}v${(-tall).toFixed(1)}h${width.toFixed(1)}v${tall.toFixed(1)}z`;
      }).join('') }),
    );
  });
  parts.push(shape('rect', { class: 'at', rx: 3, height: high - 1 }));
  svg.setAttribute('width', LEFT * type + longest * unit + 4);
  svg.setAttribute('height', known.lanes.length * high + 2);
  svg.replaceChildren(...parts);
  tellOf();
}

function tellOf() {
  const [lane, step] = at;
  const box = svg.querySelector('.at');
  const here = known.lanes[lane]?.[step];
  if (!box) return;
  box.style.display = here ? '' : 'none';
  told.textContent = '';
  if (!here) return;
  box.setAttribute('x', LEFT * type + step * unit - 2);
  box.setAttribute('y', lane * ROW * type + 1);
  box.setAttribute('width', unit + 3);
  const { text, logprob, rank, entropy } = token(lane, step);
  const name = document.createElement('b');
  name.textContent = text;
  told.replaceChildren(`${props.value.lanes[lane].letter}, token ${step + 1}: `, name,
    ` · rank ${rank.toLocaleString('en')} · probability ${percent(Math.exp(logprob))} · entropy ${entropy.toFixed(2)} nats · surprise ${(-logprob).toFixed(2)} nats`);
}
function go(lane, step) {
  const lanes = known?.lanes.length ?? 0;
  if (lane < 0 || lane >= lanes || !known.lanes[lane].length) return;
  at = [lane, Math.max(0, Math.min(known.lanes[lane].length - 1, step))];
  tellOf();
  const left = LEFT * type + at[1] * unit;
  if (left < field.scrollLeft + LEFT * type || left + unit > field.scrollLeft + field.clientWidth)
    field.scrollLeft = left - field.clientWidth / 2;
}
function point() {
  if (!known?.lanes[at[0]]?.[at[1]]) return;
  picks.made(props.value.marked, at);
  marked = JSON.stringify([known.key, at]); // by the time of the response, a person may have moved the cursor
  trigger('point', { data: at });
}

field.addEventListener('keydown', (event) => {
  if (!known || event.ctrlKey || event.metaKey || event.altKey) return;
  const [lane, step] = at;
  const to = {
    ArrowLeft: [lane, step - 1], ArrowRight: [lane, step + 1], ArrowUp: [lane - 1, step], ArrowDown: [lane + 1, step],
    Home: [lane, 0], End: [lane, Infinity],
  }[event.key];
  if (to) go(...to);
  else if (event.key === 'Enter' || event.key === ' ') point();
  else return;
  event.preventDefault();
});
const under = ({ clientX, clientY }) => {
  const { left, top } = svg.getBoundingClientRect();
  return [Math.floor((clientY - top) / (ROW * type)), Math.floor((clientX - left - LEFT * type) / unit)];
};
field.addEventListener('click', (event) => {
  const [lane, step] = under(event);
  if (!known?.lanes[lane]?.[step]) return;
  go(lane, step);
  point();
});
field.addEventListener('pointermove', (event) => {
  const [lane, step] = under(event);
  const here = known?.lanes[lane]?.[step];
  field.style.cursor = here ? 'pointer' : '';
  field.title = here ? `token ${step + 1}: ${here[0]}` : '';
});

measures.replaceChildren(...Object.keys(MEASURES).map((name) => {
  const label = document.createElement('label');
  const radio = Object.assign(document.createElement('input'), { type: 'radio', name: 'ribbon-measure', value: name, checked: name === measure });
  radio.addEventListener('change', () => { measure = name; render(); });
  label.append(radio, name);
  return label;
}));
playground.save(figure, () => {
  if (!known) return null;
  const columns = ['column', 'name', 'position', 'token', 'rank', 'probability', 'entropy', 'surprise', 'of'];
  const rows = known.lanes.flatMap((lane, i) => lane.map((_, step) => {
    const { text, logprob, rank, entropy } = token(i, step);
    return [props.value.lanes[i].letter, props.value.lanes[i].name, step + 1, text, rank, Math.exp(logprob), entropy, -logprob, props.value.of];
  }));
  return { name: 'tokens', columns, rows };
});
new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) draw();
}).observe(element);
new ResizeObserver(() => { if (known && field.clientWidth) render(); }).observe(figure);
watch('value', draw);
draw();
