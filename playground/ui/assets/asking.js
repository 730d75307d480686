// The form of an experiment; see ui/asking.py. All that is typed stays on the page until Run is pressed.
// Constants: metrics [{id, title, summary, expects, usual, settings}], sets [name, …].
// Functions: check(form) gives {counts, faults, settings}, begin(form) gives {id} or {faults}.
const form = element.querySelector('form');
const at = (name) => form.elements[name];
const [count, taken, settings, run] = ['.count', '.taken', '.settings', '.run'].map((s) => element.querySelector(s));
const [open, chosen, earlier] = ['.open', '.chosen', '.earlier'].map((s) => element.querySelector(s));
const CHECKS = 500; // milliseconds after the last key
const FILE = 3_500_000; // bytes of the largest file that fits into a request
let known = []; // the parameters of the recipe that is swept
let timer = null;
let turn = 0;
let busy = false;

const { part, counted } = playground;

const box = (name, value, checked, text, title) => part('label', { className: 'check', title },
  part('input', { type: 'checkbox', name, value, checked }), part('span', { textContent: text }));
element.querySelector('.sets').append(...sets.map((name) => box('set', name, name === 'story', name, '')));
element.querySelector('.metrics').append(...metrics.map(({ id, title, summary, expects, usual, settings: own }) => box(
  'metric', id, usual, expects ? `${title} ·` : title,
  `${summary}${expects ? ' Needs prompts with an expected value.' : ''}${own ? ` Settings: ${own}.` : ''}`)));

const ticked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map(({ value }) => value);
const sweeps = () => element.querySelector('.sweep').open;
function told() {
  const setup = playground.setup();
  const columns = at('columns').checked && setup ? setup.recipes : [];
  const given = Object.fromEntries(['question', 'prompts', 'form', 'first', 'recipes', 'kind', 'seeds', 'tokens', 'more']
    .map((name) => [name, at(name).value]));
  return {
    ...given, columns, names: columns.length ? setup.names : [], chat: at('chat').checked, model: setup?.model ?? null,
    sets: ticked('set'), metrics: ticked('metric'), swept: sweeps() ? at('swept').value : '',
    settings: sweeps() ? [...settings.children].map((row) => ({
      name: row.querySelector('select').value, values: row.querySelector('input').value,
    })) : [],
  };
}

function blame(faults = {}) {
  for (const line of form.querySelectorAll('.fault')) {
    line.textContent = faults[line.dataset.of] ?? '';
    line.hidden = !line.textContent;
  }
  for (const [name, of] of [['prompts', 'prompts'], ['recipes', 'recipes'], ['swept', 'sweep'], ['seeds', 'seeds'], ['tokens', 'tokens']])
    at(name).setAttribute('aria-invalid', String(Boolean(faults[of])));
}

function draw(answer) {
  known = answer.settings ?? known;
  for (const row of settings.children) fill(row.querySelector('select'));
  blame(answer.faults);
  const { counts } = answer;
  count.textContent = counts
    ? `${counted(counts.prompts, 'prompt')} × ${counted(counts.recipes, 'recipe')} × ${counted(counts.seeds, 'seed')} = ${counted(counts.texts, 'text')}`
    : '';
}

function check() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (playground.area.shown !== 'decide' || busy) return;
    const mine = ++turn;
    const answer = await server.check(told());
    if (mine === turn && answer) draw(answer);
  }, CHECKS);
}

function columns() {
  const setup = playground.setup();
  taken.hidden = !at('columns').checked;
  taken.replaceChildren(...(setup?.recipes ?? []).map((written, i) => part('li', {},
    part('b', { textContent: setup.names[i] || String.fromCharCode(65 + i) }), part('span', { textContent: written }))));
}

// The parameter that is swept, and its values.
function fill(menu) {
  const key = JSON.stringify(known);
  if (menu.dataset.known === key) return; // it may be open
  menu.dataset.known = key;
  const now = menu.value || menu.dataset.wanted;
  menu.replaceChildren(...known.map(({ name, value, about }) => part('option', { value: name, title: about, textContent: `${name} (${value})` })));
  if (known.some(({ name }) => name === now)) menu.value = now;
}
function row(wanted, values) {
  const menu = part('select', {});
  menu.setAttribute('aria-label', 'Setting');
  menu.dataset.wanted = wanted;
  const typed = part('input', { type: 'text', value: values, placeholder: '0.7, 0.9 or 0.5 to 1.5 by 0.25', spellcheck: false });
  typed.setAttribute('aria-label', 'Values');
  const drop = part('button', { type: 'button', className: 'drop', textContent: '×', title: 'Remove this setting' });
  const made = part('div', { className: 'line' }, menu, typed, drop);
  drop.addEventListener('click', () => { made.remove(); element.querySelector('.add').focus(); check(); });
  fill(menu);
  return made;
}
settings.append(row('temperature.temperature', '0.7, 1.0, 1.3'), row('top_p.top_p', '0.8, 0.95'));
element.querySelector('.add').addEventListener('click', () => {
  const used = [...settings.querySelectorAll('select')].map(({ value }) => value);
  const made = row(known.find(({ name }) => !used.includes(name))?.name ?? '', '');
  settings.append(made);
  made.querySelector('input').focus();
});
element.querySelector('.sweep').addEventListener('toggle', check);

// A file of prompts, chosen or dropped onto the form; it is read here.
async function take(file) {
  if (!file) return;
  if (file.size > FILE) return blame({ prompts: `${file.name} is too large: the page takes ${FILE.toLocaleString('en')} bytes; the command decoding-playground experiment takes more.` });
  at('prompts').value = await file.text();
  at('form').value = /\.csv$/i.test(file.name) ? 'csv' : /\.(jsonl|ndjson)$/i.test(file.name) ? 'jsonl' : 'auto';
  for (const set of form.querySelectorAll('[name=set]')) set.checked = false;
  check();
}
open.addEventListener('click', () => chosen.click());
chosen.addEventListener('change', () => { take(chosen.files[0]); chosen.value = ''; });
form.addEventListener('dragover', (event) => { event.preventDefault(); event.stopPropagation(); });
form.addEventListener('drop', (event) => {
  event.preventDefault();
  event.stopPropagation();
  take(event.dataTransfer.files[0]);
});

async function begin() {
  if (busy) return;
  busy = true;
  run.disabled = true;
  blame();
  try {
    const answer = (await server.begin(told())) ?? { faults: { '': 'The server did not answer.' } };
    if (answer.id) playground.experiments.open(answer.id, true);
    else {
      blame(answer.faults);
      form.querySelector('.fault:not([hidden])')?.scrollIntoView({ block: 'nearest' });
    }
  } finally {
    busy = false;
    run.disabled = false;
  }
}
form.addEventListener('submit', (event) => { event.preventDefault(); begin(); });
form.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter') return;
  if (event.ctrlKey || event.metaKey) begin();
  else if (!event.target.matches('input[type=text]')) return;
  event.preventDefault();
});
form.addEventListener('input', () => { columns(); check(); });

playground.experiments.listen('earlier', (list) => {
  earlier.hidden = !list.length;
  const menu = earlier.querySelector('select');
  menu.replaceChildren(part('option', { value: '', textContent: 'Open …' }),
    ...list.map(({ id, title, when }) => part('option', { value: id, textContent: `${title}, ${new Date(when).toLocaleString()}` })));
});
earlier.querySelector('select').addEventListener('change', ({ target }) => {
  if (target.value) playground.experiments.open(target.value);
  target.value = '';
});
document.addEventListener('playground:setup', () => { columns(); if (at('columns').checked) check(); });
playground.area.attach((area) => { if (area === 'decide') { columns(); check(); } });
