// All beams of a column's search over the steps, as a tree that is walked, zoomed and scrolled; see ui/beams.py,
// beam_tree.js and beam_drawing.js.
// value: {run, lane, output, letter, colour, node: the selected one, others}. Function: tree({run, lane, beams, passed}).
// Event: pick {run, lane, step, output, texts}. While the column is being written the tree of that run is drawn.
const [figure, sentence, tools, field, svg, about, told, inspect, weighed, rivals] = [
  '.beams', '.sentence', '.tools', '.field', '.diagram', '.about', '.told', '.inspect', '.weighed', '.rivals',
].map((s) => element.querySelector(s));
const also = tools.querySelector('.also input');
const { beamTree: { grown, path, fate, table }, beamDrawing: drawing } = playground;
const { number } = drawing;
const AHEAD = 6; // steps drawn beyond the visible part
const LOOK = 400; // milliseconds between two requests while a run goes on
const KEPT = 12; // finished trees that are not requested again
let tree = null; // {key, beams, passed, …}, with what follows from them
const trees = new Map(); // of finished runs, by key
let size = 3;
let chosen = null; // the number of the selected beam
let told_of = null; // the value's token that was selected last
let walked = false; // whether a person has gone elsewhere since
let whole = false; // drawn whole, to be saved
let asking = false;
let soon = 0;
const picks = playground.picks();
let layout = null; // the layout of the drawing
let painted = []; // what the drawing is of

const { part } = playground;
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

// Requests what is new of the tree: of the run that is being written, else of the one that is inspected.
async function look() {
  const v = props.value;
  if (!v || !seen() || asking) return;
  const live = running();
  const run = live ? strip().dataset.run : v.run;
  const key = `${run}/${v.lane}`;
  if (tree?.key !== key && trees.has(key)) [tree, chosen, told_of, walked] = [trees.get(key), null, null, false];
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
    tree = { key, run, said: [found.sentence, found.note], single: found.rows < 2, ...grown(known, found) };
    if (!found.going) keep(tree);
    if (!known?.beams.length) fitted();
    select(live);
  }
  const moved = `${v.run}/${v.lane}` !== `${props.value?.run}/${props.value?.lane}`;
  if (!found?.going && !live && !running() && !moved) return;
  clearTimeout(soon);
  soon = setTimeout(look, LOOK);
}

function keep(one) {
  trees.delete(one.key);
  trees.set(one.key, one);
  if (trees.size > KEPT) trees.delete(trees.keys().next().value);
}

// Selects the token of the inspector, unless a person has gone elsewhere in this tree since; in a run
// that goes on, the last one.
function select(live = false) {
  const { node, run, lane, output, others } = props.value;
  const [first, note] = tree.said;
  sentence.textContent = [first, tree.single && !live && others, note].filter(Boolean).join(' ');
  const asked = JSON.stringify([run, lane, output, node]);
  const own = tree && tree.run === run;
  if (own && !picks.stale(asked) && asked !== told_of && tree.beams[node]) [chosen, told_of, walked] = [node, asked, false];
  if (live && !walked) chosen = null;
  if (chosen === null || !tree?.beams[chosen]) chosen = tree?.texts[0]?.[0] ?? tree?.beams[0]?.number ?? null;
  render(true);
}

const type = () => parseFloat(getComputedStyle(field).getPropertyValue('--pg-type')) || 1;
const sight = () => ({ type: type(), room: field.clientWidth });
function render(revealed = false) {
  const empty = !tree || !tree.beams.length;
  for (const one of [tools, field, about]) one.hidden = empty;
  painted = [];
  if (empty) return svg.replaceChildren();
  also.closest('label').hidden = !tree.passed.length;
  layout = drawing.laid(tree, { ...sight(), size, passed: also.checked });
  for (const side of ['width', 'height'])
    if (svg.getAttribute(side) !== `${layout[side]}`) svg.setAttribute(side, layout[side]);
  if (revealed) reveal(); // before what would have to be laid out to measure it
  paint();
  tell();
}

// Draws the visible part, and a little beyond it.
function paint() {
  if (!tree?.beams.length) return;
  const { left, step } = layout;
  const from = whole ? 0 : Math.max(0, Math.floor((field.scrollLeft - left) / step) - AHEAD);
  const to = whole ? tree.positions : Math.ceil((field.scrollLeft + field.clientWidth) / step) + AHEAD;
  const drawn = [tree, layout, from, to, chosen];
  if (painted.length && drawn.every((one, i) => one === painted[i])) return;
  painted = drawn;
  svg.replaceChildren(...drawing.parts(tree, layout, { from, to, chosen, passed: also.checked }));
}

// Describes the selected beam, and the other candidates for its position.
function tell() {
  const one = tree.beams[chosen];
  about.hidden = !one;
  if (!one) return;
  const before = path(tree, one).slice(0, -1).map(({ text }) => text.replaceAll('·', ' ')).join('').slice(-160);
  const head = part('p', 'head');
  head.append(part('span', 'before', before), part('b', '', one.text));
  const facts = [
    `token ${one.index + 1}`, `score ${number(one.score)}`,
    ...(tree.by && one.weight !== null ? [`${tree.by}: ${number(one.weight, 3)}`] : []),
    `of which this token ${number(one.logprob)}`, `number ${one.rank + 1} of ${tree.at[one.index].beams.length}`,
    ...(tree.bands.length > 1 ? [`group ${one.group + 1}`] : []),
  ];
  told.replaceChildren(head, part('p', 'facts', facts.join(' · ')), part('p', 'fate', fate(tree, one)));
  const own = tree.run === props.value.run && tree.texts[props.value.output];
  inspect.hidden = !own || !path(tree, tree.beams[own[0]]).includes(one);
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
  reveal();
  paint();
  tell();
}
function reveal() {
  const one = tree?.beams[chosen];
  if (!one) return;
  const [left, right] = [layout.x(one.index) - layout.left, layout.x(one.index + 1) + layout.left];
  if (left < field.scrollLeft) field.scrollLeft = left - field.clientWidth / 3;
  else if (right > field.scrollLeft + field.clientWidth) field.scrollLeft = right - (field.clientWidth * 2) / 3;
  const middle = layout.y(one.place);
  const hidden = middle < field.scrollTop + layout.top || middle > field.scrollTop + field.clientHeight - 20;
  if (hidden) field.scrollTop = middle - field.clientHeight / 2;
}
function zoom(to) {
  size = Math.max(0, Math.min(drawing.sizes - 1, to));
  render(true);
}
const fit = () => zoom(drawing.fitting(tree, sight()));
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
  const here = tree.at[one.index].beams; // from top to bottom
  const beside = (by) => here[here.indexOf(one) + by];
  const after = () => tree.at[one.index + 1]?.beams.filter(({ parent }) => parent === one.number)
    .sort((a, b) => b.best - a.best || a.place - b.place)[0];
  const act = {
    ArrowLeft: () => go(tree.beams[one.parent]), ArrowRight: () => go(after()),
    ArrowUp: () => go(beside(-1)), ArrowDown: () => go(beside(1)),
    Home: () => go(path(tree, one)[0]), End: () => go(tree.beams[tree.texts[0]?.[0]]),
    '+': () => zoom(size + 1), '=': () => zoom(size + 1), '-': () => zoom(size - 1), 0: fit,
    Enter: () => inspect.click(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
function under({ clientX, clientY }) {
  const { left, top } = svg.getBoundingClientRect();
  return tree && layout && drawing.under(tree, layout, clientX - left, clientY - top);
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
  const { run, lane, output, node } = props.value;
  const place = (at) => JSON.stringify([run, lane, output, at]);
  picks.made(place(node), place(chosen));
  told_of = place(chosen);
  trigger('pick', { ...playground.reference.view(), run, lane, output, step: tree.beams[chosen].index });
});
tools.querySelector('.smaller').addEventListener('click', () => zoom(size - 1));
tools.querySelector('.larger').addEventListener('click', () => zoom(size + 1));
tools.querySelector('.whole').addEventListener('click', fit);
also.addEventListener('change', render);

playground.save(figure, () => {
  if (!tree) return null;
  whole = true; // until it is drawn for the picture
  paint();
  setTimeout(() => { whole = false; paint(); }, 3000);
  return { name: `beams-${props.value.letter}`, ...table(tree) };
});

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
