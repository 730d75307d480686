// A column's head: its letter, its preset, and its recipe as steps read from left to right.
// value: {letter, colour, ink, preset, open, only, full, written,
//         steps: [{strategy, params, enabled, kind, title, value, neutral, fault}, …]}
// Constants: presets: [{id, title, summary, group}], groups: [{id, title}],
//            strategies: [{id, kind, summary, broken}]
const $ = (selector) => element.querySelector(selector);
const [preset, steps, menu] = ['.preset', '.steps', '.menu'].map($);
let dragged = null;
let drawn = null; // the strategy whose controls are on the page
let anew = false; // draw the controls again, even those of the same strategy

const plain = (list) => list.map(({ strategy, params, enabled }) => ({ strategy, params, enabled }));
const edit = (list, open) => trigger('edit', { steps: plain(list), open: open ?? null });
const copy = () => props.value.steps.slice();

function open(step) {
  props.value = { ...props.value, open: step };
  anew = step !== null;
  draw();
}

// The controls are Gradio's own, drawn by the server when another step opens.
function panel() {
  const v = props.value;
  const wanted = v.open === null ? null : v.steps[v.open]?.strategy ?? null;
  if (wanted === drawn && !anew) return;
  [drawn, anew] = [wanted, false];
  trigger('expand', {});
}

// What the recipe is in transformers is the server's to say, and only where it is looked at.
let translated = null;
function translate() {
  const { written } = props.value;
  if (!column().classList.contains('writing') || translated === written) return;
  translated = written;
  trigger('translate', { written });
}

function button(className, label, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = className;
  made.setAttribute('aria-label', label);
  made.addEventListener('click', act);
  return made;
}

function move(from, to) {
  const list = copy();
  if (to < 0 || to >= list.length || from === to) return;
  const open = list[props.value.open];
  list.splice(to, 0, ...list.splice(from, 1));
  edit(list, props.value.open === null ? null : list.indexOf(open));
}

function remove(i) {
  const open = props.value.open;
  const list = copy();
  list.splice(i, 1);
  edit(list, open === null || open === i ? null : open - (i < open ? 1 : 0));
}

function chip(step, i) {
  const item = document.createElement('li');
  const off = !step.enabled || step.neutral;
  item.className = `step ${step.kind}${off ? ' off' : ''}${step.fault ? ' fault' : ''}`;
  const state = !step.enabled ? ', switched off' : step.neutral ? ', changes nothing' : '';
  const opened = props.value.open === i;
  const body = button('name', `${step.strategy} ${step.value}${state}`,
    () => open(opened ? null : i));
  body.setAttribute('aria-expanded', String(opened));
  body.title = `${step.summary}\nAlt and the arrow keys move it, Delete removes it.`;
  body.append(step.strategy);
  if (step.value) {
    const value = document.createElement('b');
    value.textContent = ' ' + step.value;
    body.append(value);
  }
  body.addEventListener('keydown', (event) => {
    const acts = {
      ArrowLeft: event.altKey && (() => refocus(i - 1, () => move(i, i - 1))),
      ArrowRight: event.altKey && (() => refocus(i + 1, () => move(i, i + 1))),
      Delete: () => refocus(i, () => remove(i)),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  item.append(body);
  item.draggable = true;
  item.addEventListener('dragstart', () => { dragged = i; });
  item.addEventListener('dragover', (event) => {
    if (dragged === null) return;
    event.preventDefault();
    item.classList.add('target');
  });
  item.addEventListener('dragleave', () => item.classList.remove('target'));
  item.addEventListener('drop', (event) => {
    event.preventDefault();
    if (dragged !== null) move(dragged, i);
    dragged = null;
  });
  item.addEventListener('dragend', () => { dragged = null; });
  return item;
}

let focus = null; // the step to focus once the server's answer is drawn
function refocus(i, act) {
  focus = i;
  act();
}

function draw() {
  const v = props.value;
  if (!v) return;
  $('.recipe').style.setProperty('--colour', v.colour);
  $('.recipe').style.setProperty('--ink', v.ink);
  $('.letter').textContent = v.letter;
  const inside = steps.contains(document.activeElement);
  if (inside && focus === null)
    focus = [...steps.children].findIndex((item) => item.contains(document.activeElement));
  const add = document.createElement('li');
  add.className = 'add';
  const plus = button('', 'Add a step to column ' + v.letter, toggleMenu);
  plus.textContent = '+';
  plus.setAttribute('aria-haspopup', 'menu');
  plus.setAttribute('aria-expanded', String(!menu.hidden));
  add.append(plus);
  steps.setAttribute('aria-label', `Recipe of column ${v.letter}`);
  steps.replaceChildren(...v.steps.map(chip), add);
  if (focus !== null) {
    const item = steps.children[Math.max(0, Math.min(focus, steps.children.length - 1))];
    item?.querySelector('button').focus();
    focus = null;
  }
  preset.setAttribute('aria-label', `Recipe preset of column ${v.letter}`);
  preset.value = v.preset ?? '';
  preset.title = presets.find((p) => p.id === v.preset)?.summary ?? 'A recipe of your own';
  $('.write').setAttribute('aria-label', `Column ${v.letter}: recipe as text`);
  $('.copy').setAttribute('aria-label', `Duplicate column ${v.letter}`);
  $('.close').setAttribute('aria-label', `Remove column ${v.letter}`);
  $('.copy').disabled = v.full;
  $('.close').disabled = v.only;
  column().dataset.written = v.written;
  column().classList.toggle('opened', v.open !== null);
  playground.edited(column());
  translate();
  panel();
}

function toggleMenu() {
  menu.hidden = !menu.hidden;
  steps.querySelector('.add button').setAttribute('aria-expanded', String(!menu.hidden));
  if (!menu.hidden) menu.querySelector('button:not([disabled])').focus();
}

function closeMenu() {
  if (menu.hidden) return;
  menu.hidden = true;
  steps.querySelector('.add button').setAttribute('aria-expanded', 'false');
}

function add({ id, kind }) {
  const list = copy();
  const search = list.findIndex((step) => step.kind === 'search');
  const step = { strategy: id, params: {}, enabled: true };
  let at = search < 0 ? list.length : search;
  if (kind === 'search' && search >= 0) list.splice(search, 1, step); // a recipe has one search
  else list.splice(at, 0, step);
  closeMenu();
  anew = true;
  edit(list, at);
}

const written = new Option('Own recipe', '');
written.hidden = true;
preset.append(written);
for (const group of groups) {
  const part = document.createElement('optgroup');
  part.label = group.title;
  for (const { id, title, summary } of presets.filter((p) => p.group === group.id)) {
    const option = new Option(title, id);
    option.title = summary;
    part.append(option);
  }
  preset.append(part);
}
preset.addEventListener('change', () => trigger('preset', { preset: preset.value }));

for (const kind of ['processor', 'search']) {
  const head = document.createElement('p');
  head.className = 'kind';
  head.setAttribute('role', 'presentation');
  head.textContent = { processor: 'Reshape the scores', search: 'Choose the token' }[kind];
  menu.append(head);
  for (const strategy of strategies.filter((s) => s.kind === kind)) {
    const item = button('', '', () => add(strategy));
    item.removeAttribute('aria-label');
    item.setAttribute('role', 'menuitem');
    item.tabIndex = -1;
    const name = document.createElement('b');
    name.textContent = strategy.id;
    item.append(name, ' ', strategy.broken ?? strategy.summary);
    item.disabled = Boolean(strategy.broken);
    menu.append(item);
  }
}
menu.addEventListener('keydown', (event) => {
  const items = [...menu.querySelectorAll('button:not([disabled])')];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === 'Escape' || event.key === 'Tab') {
    closeMenu();
    steps.querySelector('.add button').focus();
    event.stopPropagation();
  }
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length].focus();
});

$('.copy').addEventListener('click', () => trigger('duplicate', {}));
$('.close').addEventListener('click', () => trigger('discard', {}));
$('.write').addEventListener('click', () => {
  const opened = column().classList.toggle('writing');
  translated = null;
  translate();
  if (opened) column().querySelector('.written textarea, .written input').focus();
});

// Both leave by Escape or by a press elsewhere, as menus do.
const column = () => element.closest('.lane');
function outside(event) {
  if (!element.isConnected) return document.removeEventListener('pointerdown', outside);
  if (!menu.hidden && !element.contains(event.target)) closeMenu();
  // A dropdown's list of the step's controls is drawn at the end of the page, outside the column.
  if (props.value?.open != null && !column().contains(event.target) &&
      !event.target.closest('[role="listbox"], .options'))
    open(null);
}
document.addEventListener('pointerdown', outside);
document.addEventListener('keydown', function leave(event) {
  if (!element.isConnected) return document.removeEventListener('keydown', leave);
  if (event.key !== 'Escape' || props.value?.open == null) return;
  focus = props.value.open;
  open(null);
});
watch('value', draw);
draw();
