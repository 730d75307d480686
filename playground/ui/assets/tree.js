// All texts as one tree of lines, drawn from left to right. See ui/tree.py, tree_drawing.js and branches.js.
// value: {run, lane, output, step}: what the page shows, and the token that the inspector is at; or null.
// Function: forest({run, known}) gives {sentence, running, texts: [{source, output, of, column, letter, colour, ink,
//   label, name, recipe, tokens, text, ended, forked}], stretches: [{parent, first, texts, ends, words, raw}]}.
// Events: pick {run, lane, output, step, …}; branch {act: show, hide or name, source, name};
//   go {run, lane, output, step, token, recipe, text}. The last two in their turn.
const at = (s) => element.querySelector(s);
const [figure, sentence, field, told, acts, typing, fault] = ['.tree', '.sentence', '.field', '.told', '.acts',
  '.typing', '.fault'].map(at);
const [by, which, recipe] = ['.by', '.which', '.going-by'].map(at);
let forest = null; // the last response
let asked = null; // the request of it
let lines = []; // by stretch: {x, y, width, group}
let cursor = null; // the circle on the selected token
let here = { stretch: 0, token: 0 };
let own = null; // the number of the text that the buttons are about
let marked = null; // the token of the inspector that was moved to last
const picks = playground.picks();

const { titled, visible } = playground.treeDrawing;
const still = Boolean(playground.still); // in a saved comparison, where no text can be continued
figure.classList.toggle('still', still);
const { percent } = playground;
const quoted = (text) => (text.trim() ? `“${visible(text)}”` : `“${visible(text).replace(/ /g, '␣')}”`);

async function ask(again) {
  const v = props.value;
  element.hidden = !v;
  if (!v || !element.offsetParent) return;
  const what = { run: v.run, known: still ? [] : playground.branches.known(v.run) };
  const key = JSON.stringify(what);
  if (key === asked && forest && !forest.running && !again) return move(v);
  asked = key;
  const found = await server.forest(what);
  if (key !== asked) return;
  say(found?.fault ?? (found ? '' : 'The server did not answer.'));
  if (!found || found.fault) return;
  const focused = field.contains(document.activeElement);
  const before = standing();
  forest = found;
  draw();
  if (!back(before, focused)) marked = null;
  move(props.value, focused);
}

// The cursor's token, in terms that hold in another drawing of the tree; null without one.
function standing() {
  const [one, text] = [forest?.stretches[here.stretch], forest?.texts[own]];
  return one && text ? { source: text.source, output: text.output, at: one.first + here.token } : null;
}
// Moves the cursor there; false where that text is not drawn.
function back(place, focused) {
  const text = place && forest.texts.findIndex(({ source, output }) => source === place.source && output === place.output);
  const stretch = text === null || text < 0 ? -1 : forest.stretches.findIndex(({ first, words, texts }) =>
    texts.includes(text) && first <= place.at && place.at < first + words.length);
  if (stretch < 0) return false;
  own = text;
  to(stretch, place.at - forest.stretches[stretch].first, focused);
  return true;
}

function say(words) {
  fault.textContent = words;
  fault.hidden = !words;
}

function draw() {
  sentence.textContent = forest.sentence;
  const scale = parseFloat(getComputedStyle(element).getPropertyValue('--pg-type')) || 1;
  const drawn = playground.treeDrawing(forest, { room: field.clientWidth, scale, by: by.value });
  ({ lines, cursor } = drawn);
  field.replaceChildren(drawn.svg);
}

// Moves the cursor to the token that is inspected, or to the first.
function move({ run, lane, output, step }, focused = false) {
  if (picks.stale([run, lane, output ?? 0, step])) return;
  const place = JSON.stringify([run, lane, output ?? 0, step]);
  if (place === marked) return; // picked here, or shown already
  marked = place;
  const text = forest.texts.findIndex((one) => one.column === lane && one.output === (output ?? 0));
  const stretch = forest.stretches.findIndex(({ first, words, texts }) =>
    texts.includes(text) && first <= step && step < first + words.length);
  if (text >= 0) own = text;
  to(Math.max(0, stretch), stretch < 0 ? 0 : step - forest.stretches[stretch].first, focused);
}

function to(stretch, token, focus) {
  const one = forest.stretches[stretch];
  for (const { group } of lines) group.setAttribute('tabindex', -1);
  acts.hidden = !one;
  if (!one) return;
  here = { stretch, token: Math.max(0, Math.min(token, one.words.length - 1)) };
  const { x, y, width, group } = lines[stretch];
  group.setAttribute('tabindex', 0);
  for (const line of lines) line.group.classList.toggle('here', line.group === group);
  cursor.setAttribute('cx', x + ((here.token + 0.5) * width) / one.words.length);
  cursor.setAttribute('cy', y);
  if (focus) group.focus({ preventScroll: true });
  if (focus) seen(x + ((here.token + 0.5) * width) / one.words.length);
  if (!one.texts.includes(own)) own = one.texts.find((text) => forest.texts[text].column !== null) ?? one.texts[0];
  tell(one);
}
function seen(x) {
  if (x < field.scrollLeft + 20 || x > field.scrollLeft + field.clientWidth - 20) field.scrollLeft = x - field.clientWidth / 2;
}

function tell(one) {
  const place = one.first + here.token;
  const holders = one.texts.length === 1 ? titled(forest.texts[one.texts[0]])
    : `${one.texts.length} of ${forest.texts.length} texts`;
  told.textContent = `Token ${place + 1}, ${quoted(one.words[here.token])}, in ${holders}. `
    + `The model gave it ${percent(one.raw[here.token])}.`;
  which.replaceChildren(...one.texts.map((text) => new Option(titled(forest.texts[text]), text)));
  which.value = own;
  at('.of').hidden = one.texts.length < 2;
  const mine = forest.texts[own];
  const there = mine.column !== null;
  at('.show').hidden = there;
  for (const name of ['.hide', '.look', '.compare', '.edit', '.going']) at(name).hidden = !there;
  at('.hide').hidden = !there || new Set(forest.texts.map(({ column }) => column)).size < 2;
  at('.compare').hidden = !there || forest.texts.length < 2;
  const recipes = [mine, ...forest.texts].map(({ recipe: written }) => written);
  const before = recipe.value;
  recipe.replaceChildren(...[...new Set(recipes)].map((written) => {
    const first = forest.texts.find((text) => text.recipe === written);
    return new Option(`${first.letter ? `${first.letter}: ` : ''}${written.length > 60 ? `${written.slice(0, 59)}…` : written}`, written);
  }));
  if (recipes.includes(before)) recipe.value = before;
}

function pick() {
  const one = forest.stretches[here.stretch];
  const mine = forest.texts[own];
  if (mine.column === null) return;
  const { run, lane, output, step } = props.value;
  const picked = [run, mine.column, mine.output, one.first + here.token];
  picks.made([run, lane, output ?? 0, step], picked);
  marked = JSON.stringify(picked);
  trigger('pick', { ...playground.reference.view(), run: props.value.run, lane: mine.column, output: mine.output,
    step: one.first + here.token });
}
function look() {
  pick();
  document.querySelector('#inspector [role="tab"]')?.click();
}

const queued = (name, given) => playground.turns.take(() => {
  say('');
  trigger(name, given);
  return true;
});
const place = () => ({ run: props.value.run, lane: forest.texts[own].column, output: forest.texts[own].output });

function type(kind) {
  const mine = forest.texts[own];
  typing.hidden = false;
  typing.dataset.kind = kind;
  const [called, words] = [at('.called'), at('.edited')];
  called.hidden = kind !== 'name';
  words.hidden = kind !== 'edit';
  at('.typing [type=submit]').textContent = kind === 'name' ? 'Set the name' : 'Continue from the edited text';
  called.value = mine.name;
  words.value = mine.text;
  (kind === 'name' ? called : words).focus();
}
function name({ source, recipe: written, column, name: before }, given) {
  for (const text of forest.texts.filter((one) => one.source === source))
    Object.assign(text, { name: given, label: given || written });
  if (column === null) playground.branches.named(source, before, given); // a column's is in its recipe's set-up
  queued('branch', { act: 'name', source, name: given });
  draw();
  to(here.stretch, here.token, false);
}
document.addEventListener('playground:renamed', function renamed({ detail: [source, given] }) {
  if (!element.isConnected) return document.removeEventListener('playground:renamed', renamed);
  if (forest) for (const text of forest.texts.filter((one) => one.source === source))
    Object.assign(text, { name: given, label: given || text.recipe });
  queued('branch', { act: 'name', source, name: given });
  if (forest) draw();
  if (forest) to(here.stretch, here.token, false);
});
function close() {
  typing.hidden = true;
  lines[here.stretch]?.group.focus({ preventScroll: true });
}
function prune() {
  const { source, column } = forest.texts[own];
  const family = new Set([source]);
  for (let grew = true; grew;) { // with what was forked from it
    const more = forest.texts.filter((text) => family.has(text.forked) && !family.has(text.source) && text.column === null);
    grew = more.length > 0;
    for (const text of more) family.add(text.source);
  }
  if (column !== null && new Set(forest.texts.map((text) => text.column)).size < 2) return say('It is the only text.');
  playground.branches.prune([...family]);
  if (column !== null) queued('branch', { act: 'hide', source });
}

const did = {
  '.look': look,
  '.show': () => queued('branch', { act: 'show', source: forest.texts[own].source }),
  '.hide': () => queued('branch', { act: 'hide', source: forest.texts[own].source }),
  '.compare': () => playground.reference.choose(forest.texts[own].column),
  '.name': () => type('name'),
  '.edit': () => type('edit'),
  '.prune': prune,
  '.not': close,
  '.on': () => {
    const { first } = forest.stretches[here.stretch];
    queued('go', { ...place(), step: first + here.token + 1, token: null, recipe: recipe.value });
  },
};
for (const [name, act] of Object.entries(did)) at(name).addEventListener('click', act);
typing.addEventListener('submit', (event) => {
  event.preventDefault();
  const mine = forest.texts[own];
  if (typing.dataset.kind === 'name') name(mine, at('.called').value.trim().replace(/\s+/g, ' '));
  else queued('go', { ...place(), step: 0, token: null, recipe: recipe.value, text: at('.edited').value });
  close();
});
typing.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') close();
  else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && typing.dataset.kind === 'edit') {
    typing.requestSubmit();
  } else return;
  event.preventDefault();
});
which.addEventListener('change', () => {
  own = Number(which.value);
  tell(forest.stretches[here.stretch]);
});
by.addEventListener('change', () => { draw(); to(here.stretch, here.token, false); });

function pointed(event) {
  const group = event.target.closest('g[data-number]');
  if (!group) return;
  const stretch = Number(group.dataset.number);
  const { x, width } = lines[stretch];
  const inside = event.clientX - field.firstChild.getBoundingClientRect().left - x;
  const { words, ends } = forest.stretches[stretch];
  if (inside > width && ends.length) own = ends[0];
  to(stretch, Math.floor((inside / width) * words.length), true);
  pick();
}
field.addEventListener('click', pointed);
field.addEventListener('dblclick', look);
field.addEventListener('focusin', (event) => {
  const stretch = Number(event.target.closest('g[data-number]')?.dataset.number ?? here.stretch);
  if (stretch !== here.stretch) to(stretch, 0, false);
});
field.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !forest?.stretches.length) return;
  const { stretches } = forest;
  const { stretch, token } = here;
  const { parent, words } = stretches[stretch];
  const next = stretches.findIndex((one) => one.parent === stretch);
  const go = {
    ArrowRight: () => (token < words.length - 1 ? [stretch, token + 1] : next >= 0 ? [next, 0] : null),
    ArrowLeft: () => (token > 0 ? [stretch, token - 1] : parent !== null ? [parent, Infinity] : null),
    ArrowDown: () => [Math.min(stretch + 1, stretches.length - 1), 0],
    ArrowUp: () => [Math.max(stretch - 1, 0), 0],
    Home: () => [stretch, 0],
    End: () => [stretch, Infinity],
  }[event.key];
  if (go) {
    const place = go();
    if (place) to(...place, true);
  } else if (event.key === 'Enter') look();
  else if (event.key === ' ') pick();
  else if (event.key === 'F2' && !still) type('name');
  else if (event.key === 'Delete' && !still) prune();
  else return;
  event.preventDefault();
});

playground.save(figure, () => forest && {
  name: 'tree',
  columns: ['stretch', 'after', 'position', 'token', 'texts', 'model'],
  rows: forest.stretches.flatMap(({ parent, first, texts, words, raw }, i) => words.map((word, n) => [
    i + 1, parent === null ? null : parent + 1, first + n + 1, word,
    texts.map((text) => titled(forest.texts[text])).join('; '), raw[n]])),
});
document.addEventListener('playground:branches', function known() {
  if (!element.isConnected) return document.removeEventListener('playground:branches', known);
  ask();
});
let wide = 0;
new ResizeObserver(() => {
  if (!forest || !field.clientWidth || field.clientWidth === wide) return;
  wide = field.clientWidth;
  draw();
  to(here.stretch, here.token, false);
}).observe(field);
watch('value', () => ask());
ask();
