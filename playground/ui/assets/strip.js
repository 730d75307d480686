// A column's text, one span per token. Text enters the page by textContent alone.
// Constants: colour
// value: {run, source, lane, letter, output, outputs, texts, state, note, recipe, error, selected,
//         texts: what the column's outputs are, score: [short, in words], partings: JSON by lane, [token, sentence, same],
//         offer: the label of a button beside the note, or '',
//         tokens: a line for each, [text, id, raw probability, probability, raw rank, rank, raw entropy, drafted, special, taken],
//         drafted: false, true where the draft was accepted, else the rejected token's text,
//         special: the name of a special token, which adds nothing to the text; null or left out for others,
//         taken: [text, reason] of each text that was there before a rewind removed it; left out where none was,
//         figures: [{name, value, unit, meaning}, …], chooser: see there}
const [scroller, text, caret, blank] = ['.text', '.tokens', '.caret', '.blank'].map((s) =>
  element.querySelector(s));
const [why, help] = ['.why', '.help'].map((s) => blank.querySelector(s));
const [note, outputs, figures] = ['.parting', '.outputs', '.figures'].map((s) =>
  element.querySelector(s));
const chooser = playground.chooser(element.querySelector('.chooser'), (token) => {
  const asked = props.value;
  playground.inTurn(() => {
    if (props.value?.run !== asked.run || props.value.state !== 'done') return false;
    const texts = [...document.querySelectorAll('.strip')].map(({ dataset }) => Number(dataset.output));
    trigger('choose',
      { lane: asked.lane, token, texts, name: element.closest('.lane').dataset.name });
    return true;
  });
});
element.querySelector('.strip').style.setProperty('--colour', colour);
// Where this text parts from the one before it, else where the next one parts from this.
const scrolling = playground.scrolling(element, scroller, () => {
  const next = element.closest('.lane').nextElementSibling?.querySelector('.strip');
  return text.children[[props.value.parted, next?.dataset.parted].find((n) => n || n === 0)];
});
const shown = []; // the line that each span was made of, so that only changed ones are drawn
let run = null;
let active = 0;
let told = null; // the figures that were drawn last

const MOST_TAKEN = 3; // removed texts that are shown struck out at one token
const { percent } = playground;
const unit = (x) => Math.max(0, Math.min(1, x)).toFixed(3);
const named = (s) => (s.trim() ? `“${s}”` : s.includes('\n') ? 'new line' : s ? 'space' : 'part of a character');

function dress(span, [string, id, raw, final, rawRank, rank, entropy, drafted, special, taken], index) {
  span.textContent = string;
  // Shown by the style sheet, so that it is not copied with the text.
  if (special) span.dataset.special = special;
  else delete span.dataset.special;
  span.classList.toggle('accepted', drafted === true);
  const rejected = typeof drafted === 'string';
  if (rejected) span.dataset.rejected = drafted;
  else delete span.dataset.rejected;
  if (taken) span.dataset.taken = taken.slice(0, MOST_TAKEN).map(([t]) => t.replaceAll('\n', '⏎')).join(' ') +
    (taken.length > MOST_TAKEN ? ` +${taken.length - MOST_TAKEN}` : '');
  else delete span.dataset.taken;
  span.style.setProperty('--surprise', unit(-Math.log(Math.max(raw, 1e-9)) / 6));
  span.style.setProperty('--rank', unit(Math.log2(rawRank) / 7));
  span.style.setProperty('--entropy', unit(entropy / 6));
  const facts = `token ${index + 1}: ${special ? `${special}, no part of the text` : named(string)}, id ${id}\n` +
    `model ${percent(raw)}, rank ${rawRank} · after the recipe ${percent(final)}, rank ${rank}\n` +
    `entropy ${entropy.toFixed(2)} nats` +
    (rejected ? `\nguessed ${named(drafted)}, rejected` : drafted ? '\nguessed, accepted' : '') +
    (taken ?? []).map(([t, why]) => `\ntaken back: ${named(t)}: ${why}`).join('');
  span.title = facts;
  span.setAttribute('aria-label', facts);
}

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  // Before anything is measured: a chooser that is hidden for a moment loses the focus.
  const lane = element.closest('.lane');
  lane.dataset.ran = v.recipe;
  lane.classList.toggle('choosing', Boolean(v.chooser));
  playground.redress(lane);
  const key = `${v.source}/${v.output}`;
  const fresh = key !== run;
  if (fresh) {
    run = key;
    shown.length = 0;
    text.replaceChildren();
    active = 0;
    scrolling.begin();
  }
  const tokens = v.tokens ? v.tokens.split('\n') : [];
  tokens.forEach((line, i) => {
    if (shown[i] === line) return;
    let span = text.children[i];
    if (!span) {
      span = document.createElement('span');
      span.className = 'token';
      span.setAttribute('role', 'option');
      span.tabIndex = -1;
      text.append(span);
    }
    dress(span, JSON.parse(line), i);
    shown[i] = line;
  });
  while (text.children.length > tokens.length) text.lastChild.remove();
  shown.length = tokens.length;
  part();
  text.setAttribute('aria-label', `Column ${v.letter}, ${tokens.length} tokens`);
  // An empty listbox has no options to own, so it is only a listbox once it holds one.
  if (tokens.length) text.setAttribute('role', 'listbox');
  else text.removeAttribute('role');
  roving(Math.min(active, tokens.length - 1));
  const { state, run: name, output } = v;
  const { dataset } = element.querySelector('.strip');
  const grew = state === 'running' || dataset.state === 'running';
  const ended = state === 'done' && (fresh || dataset.state === 'running' && scrolling.following);
  const other = dataset.run !== name;
  Object.assign(dataset, { state, run: name, output, source: v.source, parted: v.parted ?? '' });
  if (other) document.dispatchEvent(new CustomEvent('playground:shown'));
  chooser(v.chooser, v.run);
  const asks = v.chooser && state === 'done';
  if (asks) scrolling.follow();
  if (asks || state === 'running' && scrolling.following) scrolling.toEnd();
  else if (ended) scrolling.toParting();
  else if (grew) scrolling.stay(); // a person has scrolled back
  caret.hidden = v.state !== 'running';
  blank.hidden = !v.note || v.state === 'running';
  why.textContent = v.note;
  help.textContent = v.offer;
  help.hidden = !v.offer;
  const measured = JSON.stringify(v.figures);
  if (measured !== told) figures.replaceChildren(...v.figures.map(figure));
  told = measured;
  outputs.hidden = v.outputs < 2;
  const [weight, meaning] = v.score ?? ['', ''];
  outputs.title = meaning ? `${v.texts}; ${meaning}` : v.texts;
  outputs.querySelector('.score').textContent = weight;
  outputs.querySelector('.which').textContent = `${v.output + 1}/${v.outputs}`;
}

// Marks where the column parts from the one it is compared with, and says why.
function part() {
  const v = props.value;
  const [at, sentence, same] = JSON.parse(v.partings)[playground.reference.of(v.lane)] ?? [];
  for (const span of text.querySelectorAll('.parted')) span.classList.remove('parted');
  text.children[at]?.classList.add('parted');
  note.classList.toggle('same', Boolean(same));
  note.classList.toggle('bad', Boolean(v.error));
  note.textContent = v.error || sentence || '';
}
function refer() {
  if (!element.isConnected) return document.removeEventListener('playground:reference', refer);
  if (props.value) part();
}
document.addEventListener('playground:reference', refer);

function figure({ name, value, unit, meaning }) {
  const box = document.createElement('div');
  const number = document.createElement('dd');
  const label = document.createElement('dt');
  number.textContent = value;
  if (unit) {
    const small = document.createElement('small');
    small.textContent = ' ' + unit;
    number.append(small);
  }
  label.textContent = name;
  box.title = meaning;
  box.append(label, number);
  return box;
}

function roving(index) {
  active = Math.max(0, index);
  for (const span of text.querySelectorAll('[tabindex="0"]')) span.tabIndex = -1;
  if (text.children[active]) text.children[active].tabIndex = 0;
}

function mark(index) {
  for (const span of document.querySelectorAll('.token[aria-selected="true"]'))
    span.removeAttribute('aria-selected');
  const span = text.children[index];
  if (!span) return;
  span.setAttribute('aria-selected', 'true');
  roving(index);
}

let wait = null;
let latest = 0;
const here = (index) => [props.value.run, props.value.lane, props.value.output, index];
function choose(index, focus) {
  const before = document.querySelector('.token[aria-selected="true"]');
  const from = before ? playground.marks.at : null;
  playground.marks.at = here(index);
  mark(index);
  if (focus) text.children[index].focus({ preventScroll: false });
  document.dispatchEvent(new CustomEvent('playground:pick', { detail: text.children[index] }));
  const { run: name, lane, output } = props.value;
  const at = { run: name, lane, output, step: index };
  const tell = () => {
    wait = null;
    latest = Date.now();
    trigger('pick', { ...playground.reference.view(), ...at });
  };
  playground.marks.made(from, here(index), () => {
    mark(index);
    tell();
  });
  clearTimeout(wait); // a held arrow key sends the last token alone
  if (Date.now() - latest > 150) tell();
  else wait = setTimeout(tell, 120);
}

function vertical(index, direction) {
  const from = text.children[index].getBoundingClientRect();
  let best = null;
  for (const [i, span] of [...text.children].entries()) {
    const box = span.getClientRects()[0];
    if (!box || (direction > 0 ? box.top < from.bottom - 4 : box.bottom > from.top + 4)) continue;
    const far = Math.abs(box.top - from.top) * 100 + Math.abs(box.left - from.left);
    if (!best || far < best.far) best = { i, far };
  }
  return best ? best.i : index;
}

text.addEventListener('click', (event) => {
  const span = event.target.closest('.token');
  if (span) choose([...text.children].indexOf(span), false);
});
text.addEventListener('keydown', (event) => {
  const last = text.children.length - 1;
  const focused = [...text.children].indexOf(event.target.closest('.token'));
  if (focused >= 0) active = focused;
  const next = {
    ArrowRight: () => Math.min(last, active + 1),
    ArrowLeft: () => Math.max(0, active - 1),
    ArrowDown: () => vertical(active, 1),
    ArrowUp: () => vertical(active, -1),
    Home: () => 0, End: () => last, Enter: () => active, ' ': () => active,
  }[event.key];
  if (!next || event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
  event.preventDefault();
  choose(next(), true);
});
help.addEventListener('click', () => playground.chat.use());
function turn(to) {
  const { run, lane } = props.value;
  const { texts, ...view } = playground.reference.view();
  texts[lane] = to;
  trigger('turn', { ...view, run, lane, output: to, texts });
}
for (const [name, by] of [['.before', -1], ['.after', 1]])
  outputs.querySelector(name).addEventListener('click', () => {
    const { output, outputs: n } = props.value;
    turn((output + by + n) % n);
  });
document.addEventListener('playground:turn', function hear({ detail }) {
  if (!element.isConnected) return document.removeEventListener('playground:turn', hear);
  const v = props.value;
  if (v && detail.run === v.run && detail.lane === v.lane && detail.output < v.outputs) turn(detail.output);
});
document.addEventListener('playground:mark', ({ detail }) => {
  const v = props.value;
  if (!v) return;
  detail.stale ??= playground.marks.stale([detail.run, detail.lane, detail.output || 0, detail.step]);
  if (detail.stale) return; // a person has gone on meanwhile
  if (v && detail.run === v.run && detail.lane === v.lane && (detail.output || 0) === v.output)
    mark(detail.step);
  playground.marks.at = [detail.run, detail.lane, detail.output || 0, detail.step];
});
playground.connection?.column(element, () => props.value);
watch('value', draw);
draw();
