// A column's head: its letter, its preset, and its recipe as steps read from left to right.
// value: {key, letter, colour, ink, preset, open, only, full, written,
//         steps: [{strategy, params, enabled, kind, title, value, neutral, fault}, …]}
// Events: change_recipe {act, key, …}, rearrange {act, key}, both in their turn (see turns.js); expand.
// Constants: lane, presets: [{id, title, summary, group, origin}], groups: [{id, title}],
//            strategies: [{id, kind, summary, broken}]
const $ = (selector) => element.querySelector(selector);
const [preset, steps] = ['.preset', '.steps'].map($);
let dragged = null;
let drawn = null; // the strategy whose controls are on the page
let redrawn = null; // the last Undo or Redo that redrew them
let anew = false; // whether to draw the controls again, even those of the same strategy

const plain = (list) => list.map(({ strategy, params, enabled }) => ({ strategy, params, enabled }));
const change = (act, more, merge) => playground.turns.send(props.value.key, 'change_recipe',
  { act, name: props.value.name, ...more }, merge);
const send = (event, data) =>
  (event === 'rearrange' ? trigger('rearrange', data) : trigger('change_recipe', data));
// Shown before the server responds, so that the next act applies to the result of this one.
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

let focus = null; // the step that gets the focus once the server's response is drawn
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
  const plus = button('', 'Add a step to column ' + v.letter, menu.toggle);
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
  menu.name(`Add a step to column ${v.letter}`);
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
  panel();
}

const menu = playground.stepMenu($('.menu'), strategies, element.closest('[id]')?.id ?? 'menu', {
  opener: () => steps.querySelector('.add button'),
  add({ id: strategy }) {
    anew = true;
    change('edit', { steps: plain(props.value.steps), open: null, add: strategy });
  },
});

const own = new Option('Own recipe', ''); // for a recipe of no preset, or with a name
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

// The name is edited in place: Enter or leaving takes it, Escape does not; empty is the automatic one.
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
  document.dispatchEvent(new CustomEvent('playground:writing'));
  if (opened) line().focus();
});

// The line of text is a component of Gradio's; its text is taken by Enter or on leaving it.
const line = () => column().querySelector('.written textarea, .written input');
let typed = null; // the text that was sent last
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

// Both are closed by Escape or by a press elsewhere, as menus are.
const column = () => element.closest('.lane');
function outside(event) {
  if (!element.isConnected) return document.removeEventListener('pointerdown', outside);
  if (!menu.hidden && !element.contains(event.target)) menu.close();
  // The list of a dropdown among the controls is drawn at the end of the page, outside the column.
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
