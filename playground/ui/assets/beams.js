// All rows of a column's search over the steps, as a tree that is walked, zoomed and scrolled; see ui/beams.py.
// value: {run, lane, output, letter, colour, node: the selected one, others}. Function: tree({run, lane, beams, passed}).
// Event: pick {run, lane, step, output, texts}. While the column is being written the tree of that run is drawn.
const [figure, sentence, tools, field, svg, about, told, inspect, weighed, rivals] = [
  '.beams', '.sentence', '.tools', '.field', '.diagram', '.about', '.told', '.inspect', '.weighed', '.rivals',
].map((s) => element.querySelector(s));
const also = tools.querySelector('.also input');
const SPACE = 'http://www.w3.org/2000/svg';
const SIZES = [ // of a step and of a row, in pixels; letters of a token that fit; whether its score is told
  { step: 8, row: 14, letters: 0 }, { step: 16, row: 20, letters: 0 },
  { step: 62, row: 24, letters: 6 }, { step: 96, row: 40, letters: 10, scored: true },
  { step: 136, row: 44, letters: 15, scored: true, weighed: true },
];
const TOP = 24;
const LEFT = 30;
const AHEAD = 6; // steps drawn beyond the sight
const LOOK = 400; // milliseconds between two looks at a run that goes on
let tree = null; // {key, beams, passed, …}, with what follows from them
let size = 3;
let chosen = null; // the number of the selected beam
let told_of = null; // the value's token that was selected last
let walked = false; // whether a person has gone elsewhere since
let whole = false; // drawn beyond the sight, to be saved
let asking = false;
let soon = 0;
let type = 1;
let unit = { step: 1, row: 1 }; // of the drawing, in pixels

const number = (x, digits = 2) => (x === null || x === undefined ? '—' : x.toFixed(digits).replace('-', '−'));
const part = (name, className, text = '') => Object.assign(document.createElement(name), { className, textContent: text });
const shape = (name, given, text) => {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};
const strip = () => document.querySelector(`#columns > .lane[data-lane="${props.value.lane}"] .strip`);
const running = () => strip()?.dataset.state === 'running';
const seen = () => element.isConnected && element.offsetParent;

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  figure.style.setProperty('--colour', v.colour);
  look();
}

// Ask for what is not known of the tree: of the run that is being written, else of the one that is inspected.
async function look() {
  const v = props.value;
  if (!v || !seen() || asking) return;
  const live = running();
  const run = live ? strip().dataset.run : v.run;
  const key = `${run}/${v.lane}`;
  if (tree?.key === key && !tree.going) return select();
  asking = true;
  const known = tree?.key === key ? tree : null;
  const found = await server.tree({
    run, lane: v.lane, beams: known?.beams.length ?? 0, passed: known?.passed.length ?? 0,
  }).catch(() => null);
  asking = false;
  if (!found || found.fault) {
    tree = null;
    sentence.textContent = found?.fault ?? 'The server did not answer.';
    render();
  } else {
    if (!known) [chosen, walked] = [null, false];
    tree = grown(key, run, known, found);
    sentence.textContent = [found.sentence, found.rows < 2 && !live && v.others, found.note].filter(Boolean).join(' ');
    if (!known?.beams.length) fitted();
    select(live);
  }
  const moved = `${v.run}/${v.lane}` !== `${props.value?.run}/${props.value?.lane}`;
  if (!found?.going && !live && !running() && !moved) return;
  clearTimeout(soon);
  soon = setTimeout(look, LOOK);
}

function grown(key, run, known, found) {
  const beams = [...(known?.beams.slice(0, found.first) ?? []), ...found.beams.map(
    ([parent, index, id, text, logprob, score, weight]) => ({ parent, index, id, text, logprob, score, weight }))];
  const passed = [...(known?.passed.slice(0, found.first_passed) ?? []), ...found.passed.map(
    ([parent, index, id, text, score]) => ({ parent, index, id, text, score, passed: true }))];
  const at = []; // the beams of each position by score, and what was passed over there
  beams.forEach((beam, i) => {
    Object.assign(beam, { number: i, fate: found.fates[i], after: 0, best: false, kept: false });
    (at[beam.index] ??= { beams: [], passed: [] }).beams.push(beam);
    if (beam.parent !== null) beams[beam.parent].after += 1;
  });
  for (const one of passed) (at[one.index] ??= { beams: [], passed: [] }).passed.push(one);
  let rows = 1;
  let most = 1;
  for (const here of at) {
    if (!here) continue;
    here.beams.sort((a, b) => b.score - a.score || a.number - b.number);
    here.beams.forEach((beam, i) => { beam.place = i; });
    here.passed.sort((a, b) => b.score - a.score);
    here.passed.forEach((one, i) => { one.place = here.beams.length + i; });
    rows = Math.max(rows, here.beams.length);
    most = Math.max(most, here.beams.length + here.passed.length);
  }
  found.texts.forEach(([node], i) => {
    for (let beam = beams[node]; beam && !(beam.kept && i); beam = beams[beam.parent]) {
      beam.kept = true;
      beam.best ||= i === 0;
    }
  });
  const { positions, weighs_by: by, texts, going } = found;
  return { key, run, beams, passed, at, rows, most, positions, by, texts, going };
}

// What the inspector is of, unless a person has gone elsewhere in this tree since; of a run that
// goes on its end.
function select(live = false) {
  const { node, run, lane, output } = props.value;
  const asked = JSON.stringify([run, lane, output, node]);
  const own = tree && tree.run === run;
  if (own && asked !== told_of && tree.beams[node]) [chosen, told_of, walked] = [node, asked, false];
  if (live && !walked) chosen = null;
  if (chosen === null || !tree?.beams[chosen]) chosen = tree?.texts[0]?.[0] ?? tree?.beams[0]?.number ?? null;
  render();
  reveal();
}

// Without letters the steps take the width that there is.
function measure() {
  const { step, row, letters } = SIZES[size];
  const room = letters ? 0 : (field.clientWidth - LEFT * type - 24) / tree.positions;
  unit = { step: Math.max(step * type, Math.min(room, 40 * type)), row: row * type };
}
const high = () => TOP * type + (also.checked ? tree.most : tree.rows) * unit.row + 6;
const wide = () => LEFT * type + tree.positions * unit.step + 8;
const x = (index) => LEFT * type + index * unit.step;
const y = (place) => TOP * type + (place + 0.5) * unit.row;
// From the end of the box of a token to the beginning of the one after it.
const box = () => unit.step - (SIZES[size].letters ? 18 * type : unit.step - 6);

function render() {
  type = parseFloat(getComputedStyle(field).getPropertyValue('--pg-type')) || 1;
  const empty = !tree || !tree.beams.length;
  for (const one of [tools, field, about]) one.hidden = empty;
  if (empty) return svg.replaceChildren();
  measure();
  svg.setAttribute('width', wide());
  svg.setAttribute('height', high());
  also.closest('label').hidden = !tree.passed.length;
  paint();
  tell();
}

// What is in sight, and a little beyond.
function paint() {
  if (!tree) return;
  const { step } = unit;
  const from = whole ? 0 : Math.max(0, Math.floor((field.scrollLeft - LEFT * type) / step) - AHEAD);
  const to = whole ? tree.positions : Math.ceil((field.scrollLeft + field.clientWidth) / step) + AHEAD;
  const lines = { passed: '', given: '', kept: '', best: '' };
  const dots = { passed: '', given: '', kept: '', best: '' };
  const ends = { kept: '', given: '' };
  const drawn = [];
  const kind = (one) => (one.passed ? 'passed' : one.best ? 'best' : one.kept ? 'kept' : 'given');
  const width = box();
  for (let index = from; index < Math.min(to, tree.positions); index += 1) {
    const here = tree.at[index];
    if (!here) continue;
    for (const one of also.checked ? [...here.beams, ...here.passed] : here.beams) {
      const before = one.parent === null ? null : tree.beams[one.parent];
      const [x1, y1] = before ? [x(before.index) + width, y(before.place)] : [10 * type, y(0)];
      const [x2, y2] = [x(index), y(one.place)];
      const middle = Math.min(x1 + (x2 - x1) / 2, x2);
      lines[kind(one)] += `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
      if (!SIZES[size].letters) dots[kind(one)] += `M${x2 + 3} ${y2}h0`;
      else if (!one.passed) drawn.push(token(one, x2, y2, width));
      else drawn.push(shape('text', { class: 'passed', x: x2 + 5, y: y2 + 4 * type }, shorter(one.text)));
      if (one.fate === 'e') {
        const side = SIZES[size].letters ? 8 * type : 4;
        ends[one.kept ? 'kept' : 'given'] += `M${x2 + width + 2} ${y2 - side / 2}h${side}v${side}h-${side}z`;
      }
    }
  }
  const parts = [];
  for (const name of ['passed', 'given', 'kept', 'best']) if (lines[name]) parts.push(shape('path', { class: `line ${name}`, d: lines[name] }));
  for (const name of ['passed', 'given', 'kept', 'best']) if (dots[name]) parts.push(shape('path', { class: `dot ${name}`, d: dots[name] }));
  parts.push(...drawn);
  for (const name of ['kept', 'given']) if (ends[name]) parts.push(shape('path', { class: `end ${name}`, d: ends[name] }));
  parts.push(shape('circle', { class: 'prompt', cx: 8 * type, cy: y(0), r: 4 * type }));
  const every = [1, 5, 10, 20, 50].find((n) => n * step > 26 * type);
  for (let index = from; index < Math.min(to, tree.positions); index += 1)
    if ((index + 1) % every === 0 || (every > 1 && !index))
      parts.push(shape('text', { class: 'count', x: x(index) + (SIZES[size].letters ? 4 : 0), y: 14 * type }, index + 1));
  const at = tree.beams[chosen];
  if (at) parts.push(shape('rect', {
    class: 'chosen', x: x(at.index) - 2, y: y(at.place) - unit.row / 2 + 1, rx: 5, width: width + 4, height: unit.row - 2,
  }));
  svg.replaceChildren(...parts);
}

const shorter = (text) => ([...text].length > SIZES[size].letters ? `${[...text].slice(0, SIZES[size].letters - 1).join('')}…` : text);
function token(one, left, middle, width) {
  const { scored, weighed: both } = SIZES[size];
  const tall = unit.row - 6;
  const group = shape('g', { class: `token-box ${one.best ? 'best' : one.kept ? 'kept' : 'given'}` });
  group.append(
    shape('rect', { x: left, y: middle - tall / 2, width, height: tall, rx: 4 }),
    shape('text', { x: left + 5, y: middle + (scored ? -2 : 4) * type }, shorter(one.text)),
  );
  if (scored) {
    const weight = both && one.weight !== null && tree.by ? ` · ${number(one.weight)}` : '';
    group.append(shape('text', { class: 'score', x: left + 5, y: middle + 12 * type }, `${number(one.score)}${weight}`));
  }
  return group;
}

const path = (one) => {
  const found = [];
  for (let beam = one; beam; beam = beam.parent === null ? null : tree.beams[beam.parent]) found.unshift(beam);
  return found;
};
const fate = (one) => ({
  c: `went on as ${one.after === 1 ? 'one row' : `${one.after} rows`}`,
  e: one.kept ? 'ended here, and is among the texts' : 'ended here, and was overtaken by better texts',
  p: tree.passed.length ? `given up: nothing that follows it was taken for token ${one.index + 2}` : 'given up',
  r: 'still being written',
}[one.fate]);

// What is known of the selected beam, and what else was weighed for its position.
function tell() {
  const one = tree.beams[chosen];
  about.hidden = !one;
  if (!one) return;
  const before = path(one).slice(0, -1).map(({ text }) => text.replaceAll('·', ' ')).join('').slice(-160);
  const head = part('p', 'head');
  head.append(part('span', 'before', before), part('b', '', one.text));
  const facts = [
    `token ${one.index + 1}`, `score ${number(one.score)}`,
    ...(tree.by && one.weight !== null ? [`${tree.by}: ${number(one.weight, 3)}`] : []),
    `of which this token ${number(one.logprob)}`, `number ${one.place + 1} of ${tree.at[one.index].beams.length}`,
  ];
  told.replaceChildren(head, part('p', 'facts', facts.join(' · ')), part('p', 'fate', fate(one)));
  const own = tree.run === props.value.run && tree.texts[props.value.output];
  inspect.hidden = !own || !path(tree.beams[own[0]]).includes(one);
  const here = tree.at[one.index];
  const every = [...here.beams, ...here.passed].sort((a, b) => b.score - a.score);
  weighed.textContent = tree.passed.length
    ? `Weighed for token ${one.index + 1}: ${here.beams.length} taken, ${here.passed.length} passed over.`
    : `Rows at token ${one.index + 1}:`;
  rivals.replaceChildren(...every.map((rival) => {
    const line = part('li', rival.passed ? 'passed' : rival.best ? 'best' : '');
    const from = rival.parent === null ? '' : tree.beams[rival.parent].text;
    const text = part('span', 'text');
    text.append(part('i', '', from), part('b', '', rival.text));
    const state = rival.passed ? 'passed over' : rival.fate === 'e' ? 'ended' : rival.best ? 'shown' : 'taken';
    line.append(text, part('span', 'score', number(rival.score)), part('span', 'state', state));
    if (!rival.passed) {
      line.dataset.beam = rival.number;
      if (rival === one) line.setAttribute('aria-current', 'true');
    }
    return line;
  }));
}

function go(to) {
  if (!to) return;
  [chosen, walked] = [to.number, true];
  paint();
  tell();
  reveal();
}
function reveal() {
  const one = tree?.beams[chosen];
  if (!one) return;
  const left = x(one.index) - LEFT * type;
  const right = x(one.index + 1) + LEFT * type;
  if (left < field.scrollLeft) field.scrollLeft = left - field.clientWidth / 3;
  else if (right > field.scrollLeft + field.clientWidth) field.scrollLeft = right - (field.clientWidth * 2) / 3;
  const top = y(one.place);
  if (top < field.scrollTop + TOP * type || top > field.scrollTop + field.clientHeight - 20) field.scrollTop = top - field.clientHeight / 2;
}
function zoom(to) {
  size = Math.max(0, Math.min(SIZES.length - 1, to));
  render();
  reveal();
}
// The largest size at which all of it is in sight.
function fit() {
  const fits = SIZES.findLastIndex(({ step }) => LEFT * type + tree.positions * step * type < field.clientWidth);
  zoom(Math.max(0, fits));
}
// At first so large that it can be read.
function fitted() {
  render();
  if (!tree.beams.length) return;
  fit();
  size = Math.max(size, 3 - Number(field.clientWidth < 500));
}

field.addEventListener('keydown', (event) => {
  const one = tree?.beams[chosen];
  if (!one || event.ctrlKey || event.metaKey || event.altKey) return;
  const beside = (by) => tree.at[one.index].beams[one.place + by];
  const after = () => tree.at[one.index + 1]?.beams.filter(({ parent }) => parent === one.number)
    .sort((a, b) => b.best - a.best || a.place - b.place)[0];
  const act = {
    ArrowLeft: () => go(tree.beams[one.parent]), ArrowRight: () => go(after()),
    ArrowUp: () => go(beside(-1)), ArrowDown: () => go(beside(1)),
    Home: () => go(path(one)[0]), End: () => go(tree.beams[tree.texts[0]?.[0]]),
    '+': () => zoom(size + 1), '=': () => zoom(size + 1), '-': () => zoom(size - 1), 0: fit,
    Enter: () => inspect.click(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
function under({ clientX, clientY }) {
  const { left, top } = svg.getBoundingClientRect();
  const index = Math.floor((clientX - left - LEFT * type + 4) / unit.step);
  return tree?.at[index]?.beams[Math.floor((clientY - top - TOP * type) / unit.row)];
}
let dragged = null;
field.addEventListener('pointerdown', (event) => {
  if (event.pointerType === 'mouse' && event.button === 0) dragged = { x: event.clientX, from: field.scrollLeft, far: false };
});
field.addEventListener('pointermove', (event) => {
  if (!dragged || !(event.buttons & 1)) return;
  dragged.far ||= Math.abs(event.clientX - dragged.x) > 4;
  if (dragged.far) field.scrollLeft = dragged.from - (event.clientX - dragged.x);
});
field.addEventListener('click', (event) => {
  if (!dragged?.far) go(under(event));
  dragged = null;
});
field.addEventListener('dblclick', () => inspect.click());
field.addEventListener('wheel', (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(size - Math.sign(event.deltaY));
}, { passive: false });
field.addEventListener('scroll', () => requestAnimationFrame(paint));
rivals.addEventListener('click', ({ target }) => {
  const line = target.closest('[data-beam]');
  if (line) go(tree.beams[line.dataset.beam]);
});
inspect.addEventListener('click', () => {
  if (inspect.hidden) return;
  const { run, lane, output } = props.value;
  trigger('pick', { ...playground.reference.view(), run, lane, output, step: tree.beams[chosen].index });
});
tools.querySelector('.smaller').addEventListener('click', () => zoom(size - 1));
tools.querySelector('.larger').addEventListener('click', () => zoom(size + 1));
tools.querySelector('.whole').addEventListener('click', fit);
also.addEventListener('change', render);

function table() {
  if (!tree) return null;
  whole = true; // until it is drawn for the picture
  paint();
  setTimeout(() => { whole = false; paint(); }, 3000);
  const fates = { c: 'continued', e: 'ended', p: 'given up', r: 'running' };
  const columns = ['beam', 'parent', 'position', 'id', 'token', 'log-probability', 'score', tree.by || 'weight', 'place', 'fate', 'shown'];
  const rows = [
    ...tree.beams.map((b) => [b.number, b.parent, b.index + 1, b.id, b.text, b.logprob, b.score, b.weight, b.place + 1, fates[b.fate], Number(b.best)]),
    ...tree.passed.map((b) => [null, b.parent, b.index + 1, b.id, b.text, null, b.score, null, null, 'passed over', 0]),
  ];
  return { name: `beams-${props.value.letter}`, columns, rows };
}
playground.save(figure, table);

document.addEventListener('playground:shown', function begun() {
  if (!element.isConnected) return document.removeEventListener('playground:shown', begun);
  clearTimeout(soon);
  soon = setTimeout(look, LOOK / 4);
});
new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) draw();
}).observe(element);
new ResizeObserver(() => { if (tree && field.clientWidth) render(); }).observe(figure);
watch('value', draw);
draw();
