// A column's head: its letter, its preset, and its recipe as steps read from left to right.
// value: {key, letter, colour, ink, preset, open, only, full, written,
//         steps: [{strategy, params, enabled, kind, title, value, neutral, fault}, …]}
// Events: change_recipe {act, key, …}, rearrange {act, key}, both in their turn (see turns.js); translate, expand.
// Constants: lane, presets: [{id, title, summary, group, origin}], groups: [{id, title}],
//            strategies: [{id, kind, summary, broken}]
const $ = (selector) => element.querySelector(selector);
const [preset, steps, menu] = ['.preset', '.steps', '.menu'].map($);
let dragged = null;
let drawn = null; // the strategy whose controls are on the page
let redrawn = null; // by Undo, last
let anew = false; // draw the controls again, even those of the same strategy

const plain = (list) => list.map(({ strategy, params, enabled }) => ({ strategy, params, enabled }));
const change = (act, more, merge) => playground.turns.send(props.value.key, 'change_recipe',
  { act, name: props.value.name, ...more }, merge);
const send = (event, data) =>
  (event === 'rearrange' ? trigger('rearrange', data) : trigger('change_recipe', data));
// Shown at once: what is done next is done to what it leads to.
function edit(list, open) {
  props.value = { ...props.value, steps: list, open: open ?? null };
  draw();
  change('edit', { steps: plain(list), open: open ?? null }, `edit ${props.value.key}`);
}
const copy = () => props.value.steps.slice();

function open(step) {
  props.value = { ...props.value, open: step };
  anew = step !== null;
  draw();
}

// The controls are Gradio's own, drawn by the server when another step opens.
function panel() {
  const v = props.value;
  if (v.redraw && v.redraw !== redrawn) [redrawn, anew] = [v.redraw, v.open !== null];
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
  playground.turns.column(lane, { key: v?.key, box: element, send });
  if (!v) return playground.column(lane, null, column());
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
  plus.setAttribute('aria-haspopup', 'listbox');
  plus.setAttribute('aria-expanded', String(!menu.hidden));
  add.append(plus);
  steps.setAttribute('aria-label', `Recipe of column ${v.letter}`);
  steps.replaceChildren(...v.steps.map(chip), add);
  if (focus !== null) {
    const item = steps.children[Math.max(0, Math.min(focus, steps.children.length - 1))];
    item?.querySelector('button').focus();
    focus = null;
  }
  find.setAttribute('aria-label', `Add a step to column ${v.letter}`);
  preset.setAttribute('aria-label', `Recipe preset of column ${v.letter}`);
  const known = presets.find((p) => p.id === v.preset);
  preset.value = v.name ? '' : v.preset ?? '';
  preset.title = known?.summary ?? 'A recipe of your own';
  $('.origin').textContent = known?.origin ? `As in ${known.origin}` : '';
  if (v.name && known) preset.title = `${known.title}: ${known.summary}`;
  column().dataset.name = v.name;
  playground.titled(column(), known && !v.name ? null : v, (title) => { own.text = title; });
  $('.rename').setAttribute('aria-label', `Name column ${v.letter}`);
  $('.write').setAttribute('aria-label', `Column ${v.letter}: recipe as text`);
  $('.copy').setAttribute('aria-label', `Duplicate column ${v.letter}`);
  $('.close').setAttribute('aria-label', `Remove column ${v.letter}`);
  $('.copy').disabled = v.full;
  $('.close').disabled = v.only;
  column().classList.remove('leaving');
  typed = null;
  column().dataset.written = v.written;
  column().classList.toggle('opened', v.open !== null);
  playground.column(lane, v, column());
  translate();
  panel();
}

// The menu of strategies: what is typed narrows it, the arrows move in it, Enter takes one.
const [find, found, none] = ['.find', '.found', '.none'].map($);
const options = [];
let marked = -1; // the option that Enter takes
const id = (i) => `${element.closest('[id]')?.id ?? 'menu'}-option-${i}`;

function toggleMenu() {
  if (!menu.hidden) return closeMenu();
  menu.hidden = false;
  steps.querySelector('.add button').setAttribute('aria-expanded', 'true');
  find.value = '';
  narrow();
  find.focus({ preventScroll: true });
  menu.scrollIntoView({ block: 'nearest' });
}

function closeMenu(back = false) {
  if (menu.hidden) return;
  menu.hidden = true;
  const plus = steps.querySelector('.add button');
  plus.setAttribute('aria-expanded', 'false');
  if (back) plus.focus();
}

function add({ id: strategy }) {
  closeMenu();
  anew = true;
  change('edit', { steps: plain(props.value.steps), open: null, add: strategy });
}

// Every typed word in the name or the summary; names that begin so come first.
function narrow() {
  const words = find.value.toLowerCase().split(/[\s_]+/).filter(Boolean);
  for (const option of options) {
    const { name, says } = option;
    const fits = words.every((word) => name.includes(word) || says.includes(word));
    const first = words.length && name.replaceAll('_', ' ').startsWith(words.join(' '));
    option.rank = !fits ? 0 : first ? 3 : words.every((word) => name.includes(word)) ? 2 : 1;
    option.item.hidden = !fits;
  }
  for (const group of found.children)
    group.hidden = !group.querySelector('[role="option"]:not([hidden])');
  const best = Math.max(...options.map(({ rank }) => rank));
  none.hidden = best > 0;
  markOption(best ? options.findIndex(({ rank, broken }) => rank === best && !broken) : -1);
}

function markOption(i) {
  options[marked]?.item.removeAttribute('aria-selected');
  marked = i;
  find.setAttribute('aria-activedescendant', i < 0 ? '' : id(i));
  options[i]?.item.setAttribute('aria-selected', 'true');
  options[i]?.item.scrollIntoView({ block: 'nearest' });
}

const own = new Option('Own recipe', ''); // of no preset, or with a name
own.hidden = true;
preset.append(own);
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
preset.addEventListener('change', () => change('preset', { preset: preset.value }));

for (const kind of ['processor', 'search']) {
  const group = document.createElement('div');
  group.setAttribute('role', 'group');
  const head = document.createElement('p');
  head.className = 'kind';
  head.setAttribute('role', 'presentation');
  head.textContent = { processor: 'Reshape the scores', search: 'Choose the token' }[kind];
  group.setAttribute('aria-label', head.textContent);
  group.append(head);
  for (const strategy of strategies.filter((s) => s.kind === kind)) {
    const item = document.createElement('div');
    const says = strategy.broken ?? strategy.summary;
    item.setAttribute('role', 'option');
    item.id = id(options.length);
    const name = document.createElement('b');
    name.textContent = strategy.id;
    item.append(name, ' ', says);
    if (strategy.broken) item.setAttribute('aria-disabled', 'true');
    else item.addEventListener('click', () => add(strategy));
    options.push({ ...strategy, item, name: strategy.id.toLowerCase(), says: says.toLowerCase() });
    group.append(item);
  }
  found.append(group);
}
found.id = id('s');
find.setAttribute('aria-controls', found.id);
find.addEventListener('input', narrow);
find.addEventListener('keydown', (event) => {
  const near = options.map((_, i) => i).filter((i) => options[i].rank && !options[i].broken);
  const at = near.indexOf(marked);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 6, PageUp: at - 6 }[event.key];
  const ends = event.key.startsWith('Page');
  if (event.key === 'Escape' || event.key === 'Tab') closeMenu(true);
  else if (event.key === 'Enter' && marked >= 0 && !event.ctrlKey && !event.metaKey) add(options[marked]);
  else if (to !== undefined && near.length)
    markOption(near[ends ? Math.max(0, Math.min(to, near.length - 1)) : (to + near.length) % near.length]);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

// A name is typed where it stands; Enter or leaving takes it, Escape does not, none is automatic.
const naming = $('.naming');
function name(on) {
  naming.hidden = !on;
  preset.hidden = on;
  if (!on) return;
  naming.value = props.value.name;
  naming.placeholder = preset.selectedOptions[0]?.text ?? '';
  naming.setAttribute('aria-label', `Name of column ${props.value.letter}`);
  naming.focus();
  naming.select();
}
function take() {
  if (naming.hidden) return;
  name(false);
  const { name: before, steps: list, open } = props.value;
  const after = naming.value.trim().replace(/\s+/g, ' ');
  if (after === before) return;
  props.value = { ...props.value, name: after };
  edit(list, open);
}
$('.rename').addEventListener('click', () => name(naming.hidden));
$('.rename').addEventListener('pointerdown', (event) => event.preventDefault()); // no blur before
naming.addEventListener('blur', take);
naming.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' && event.key !== 'Escape') return;
  event.preventDefault();
  event.stopPropagation();
  if (event.key === 'Enter') take();
  else name(false);
  $('.rename').focus();
});
const rearrange = (act) => playground.turns.send(props.value.key, 'rearrange', { act });
$('.copy').addEventListener('click', () => rearrange('duplicate'));
$('.close').addEventListener('click', () => {
  column().classList.add('leaving');
  rearrange('remove');
});
$('.write').addEventListener('click', () => {
  const opened = column().classList.toggle('writing');
  translated = null;
  translate();
  if (opened) line().focus();
});

// The line of text is Gradio's, and what is typed there counts by Enter or on leaving it.
const line = () => column().querySelector('.written textarea, .written input');
let typed = null; // what was sent last
function rewrite() {
  const text = line().value;
  if (text === (typed ?? props.value.written)) return;
  typed = text;
  change('rewrite', { text });
}
function writes({ target }) {
  return target.closest('.written') && props.value;
}
element.closest('.lane').addEventListener('keydown', (event) => {
  if (writes(event) && event.key === 'Enter' && !event.ctrlKey && !event.metaKey && !event.isComposing) rewrite();
});
element.closest('.lane').addEventListener('focusout', (event) => { if (writes(event)) rewrite(); });

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
