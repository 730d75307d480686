// A text's choices one after the other, in a dialog as large as the window; see ui/walk.py.
// value: {run, lane, output, step, letter, colour, ink, name, most}. Function: choices({run, lane, output, first}).
// Event: pick {run, lane, step, output, texts}, for the token that the dialog was closed at.
// A choice has moments: the model, each step of the recipe, the draw, and the token in the text.
const [opener, dialog, where, letter, hide, sheet, says] = [
  '.open', '.stage', '.where', '.letter', '.hide input', '.sheet', '.says',
].map((s) => element.querySelector(s));
const [prompt, before, next] = ['.prompt', '.before', '.next'].map((s) => sheet.querySelector(s));
const [head, body, foot] = ['thead tr', 'tbody', 'tfoot tr'].map((s) => sheet.querySelector(s));
const TAIL = 260; // characters of the text that are shown before the choice
let of = null; // the text that the known choices are of
let known = []; // choices, by position
let texts = [];
let begins = ''; // the end of the prompt
let at = 0;
let moment = 0;
let drawn = null; // the choice that the table is of
let playing = 0; // the timer that goes on by itself
const PACE = 1600; // milliseconds for a step, whose sentence is read meanwhile
const asked = new Map(); // by the first of the choices that are on their way

const { part } = playground;
const last = (choice) => choice.moments.length + 1; // the moment at which the token is in the text
const number = (x) => x.toFixed(2).replace('-', '−');

async function ask(from) {
  const { run, lane, output } = of;
  const first = Math.max(0, from);
  if (known[first] || first >= of.most) return;
  if (!asked.has(first)) {
    const mine = of;
    asked.set(first, server.choices({ run, lane, output, first }).catch(() => null).then((found) => {
      asked.delete(first);
      if (mine !== of) return;
      if (!found || found.fault) {
        says.textContent = found?.fault ?? 'The server did not answer.';
        return;
      }
      [texts, begins] = [found.texts, found.prompt];
      found.choices.forEach((choice, i) => { known[found.first + i] = choice; });
    }));
  }
  await asked.get(first);
}

async function open() {
  const v = props.value;
  if (!v || !v.most) return;
  dialog.style.setProperty('--colour', v.colour);
  letter.textContent = v.letter;
  letter.style.color = v.ink;
  [of, known, texts, drawn] = [{ ...v }, [], [], null];
  body.replaceChildren();
  asked.clear();
  dialog.showModal();
  dialog.focus();
  await go(v.step, hide.checked ? 'hidden' : 'whole');
}

// `part` is 'whole', all of the choice; 'first', the model alone; or 'hidden', all but what was chosen.
async function go(to, which) {
  const wanted = Math.max(0, Math.min(of.most - 1, to));
  at = wanted;
  if (!known[wanted]) await ask(wanted);
  if (at !== wanted) return; // a person has gone on meanwhile
  const choice = known[wanted];
  if (!choice) return;
  of.most = texts.length;
  moment = which === 'first' ? 0 : which === 'hidden' ? choice.moments.length - 1 : last(choice);
  draw();
  // What comes next is there before it is asked for.
  const ahead = [wanted + 1, wanted + 8, wanted - 8, wanted - 1].find((n) => n >= 0 && n < of.most && !known[n]);
  if (ahead !== undefined) ask(ahead < wanted ? Math.max(0, ahead - 16) : ahead);
}

const acts = {
  on() {
    const choice = known[at];
    if (!choice) return;
    if (hide.checked && moment < last(choice)) { moment = last(choice); return draw(); }
    if (at + 1 < of.most) go(at + 1, hide.checked ? 'hidden' : 'whole');
  },
  back() { if (at > 0) go(at - 1, 'whole'); },
  later() {
    const choice = known[at];
    if (!choice) return;
    if (moment < last(choice)) { moment += 1; draw(); } else if (at + 1 < of.most) go(at + 1, 'first');
  },
  earlier() {
    if (!known[at]) return;
    if (moment > 0) { moment -= 1; draw(); } else if (at > 0) go(at - 1, 'whole');
  },
  first() { go(0, hide.checked ? 'hidden' : 'whole'); },
  end() { go(of.most - 1, hide.checked ? 'hidden' : 'whole'); },
  hide() {
    const choice = known[at];
    if (choice) moment = hide.checked ? Math.min(moment, choice.moments.length - 1) : last(choice);
    draw();
  },
};

// One step after the other, until a person stops it or the text ends.
function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => {
    const choice = known[at];
    if (!dialog.open || (choice && at + 1 >= of.most && moment === last(choice))) return play(false);
    acts.later();
  }, PACE) : 0;
  const button = dialog.querySelector('.play');
  button.textContent = on ? 'Pause' : 'Play';
  button.setAttribute('aria-pressed', String(Boolean(on)));
  if (on) acts.later();
}

function draw() {
  const choice = known[at];
  if (!choice) return;
  const { moments } = choice;
  const joined = moment === last(choice);
  const told = moment >= moments.length; // the choice is to be seen
  where.textContent = `token ${at + 1} of ${of.most}${of.name ? ` · ${of.name}` : ''}`;
  const whole = texts.slice(0, at).join('');
  prompt.textContent = whole.length < TAIL ? begins.slice(whole.length - TAIL) : '';
  before.textContent = whole.slice(-TAIL);
  next.textContent = joined ? texts[at] || choice.token : '?';
  next.classList.toggle('joined', joined);
  says.textContent = joined ? `${choice.token} joins the text. ${choice.told}` : told ? choice.told : moments[moment].told;
  if (drawn !== choice) table(choice);
  const columns = moments.length + 1;
  const now = Math.min(moment, columns - 1);
  for (const row of [head, foot, ...body.children]) {
    [...row.children].forEach((cell, i) => {
      if (!i) return;
      cell.classList.toggle('later', i - 1 > now);
      cell.classList.toggle('now', i - 1 === now);
    });
  }
  choice.rows.forEach((row, i) => {
    const line = body.children[i];
    line.classList.toggle('gone', row.removed !== null && now > row.removed);
    line.classList.toggle('chosen', told && row.chosen);
  });
  dialog.querySelector('[data-act="back"]').disabled = at === 0;
  dialog.querySelector('[data-act="earlier"]').disabled = at === 0 && moment === 0;
  dialog.querySelector('[data-act="later"]').disabled = joined && at + 1 >= of.most;
  dialog.querySelector('[data-act="on"]').disabled = at + 1 >= of.most && (joined || !hide.checked);
}

function table(choice) {
  drawn = choice;
  const { moments, rows } = choice;
  const widest = Math.max(...rows.flatMap(({ levels }) => levels), 1e-9);
  const sums = rows.filter(({ noise }) => noise !== undefined).flatMap(({ logprob, noise }) => [logprob, logprob + noise]);
  const low = Math.min(...sums) - 0.2;
  const span = Math.max(...sums) - low || 1;
  const heading = (text) => Object.assign(part('th', '', text), { scope: 'col' });
  head.replaceChildren(heading('token'), ...moments.map(({ label }) => heading(label)), heading(choice.drawn ? 'the draw' : choice.search));
  body.replaceChildren(...rows.map((row) => {
    const line = part('tr', row.id === null ? 'others' : '');
    line.append(Object.assign(part('th', 'name', row.label), { scope: 'row' }));
    row.levels.forEach((p, i) => {
      const cell = part('td', i ? 'by-recipe' : 'by-model');
      const cut = row.removed !== null && i - 1 >= row.removed;
      if (cut && i - 1 === row.removed) {
        cell.append(bar(row.levels[i - 1] / widest, 'cut'), part('span', 'value', 'removed'));
      } else if (!cut && p > 0) cell.append(bar(p / widest, 'fill'), part('span', 'value', row.told[i]));
      line.append(cell);
    });
    line.append(outcome(row, choice, low, span));
    return line;
  }));
  foot.replaceChildren(Object.assign(part('th', 'name', 'left'), { scope: 'row' }), ...moments.map(({ left, entropy }) =>
    part('td', '', `${left.toLocaleString('en')} · ${entropy.toFixed(2)} nats`)), part('td', ''));
}
function bar(share, kind) {
  const made = part('i', kind);
  made.style.width = `${100 * Math.min(1, share)}%`;
  return made;
}
// The last column: the sum that a candidate has in the draw, else whether it was chosen.
function outcome(row, choice, low, span) {
  const cell = part('td', 'drawn');
  if (row.noise === undefined) {
    const state = row.chosen ? 'chosen' : row.score === undefined ? '' : row.taken ? 'taken as well' : 'passed over';
    const score = row.score === undefined ? '' : `${number(row.score)} · `;
    if (state) cell.append(part('span', 'value', `${score}${state}`));
    return cell;
  }
  const sign = row.noise >= 0 ? '+' : '−';
  const sum = `${number(row.logprob)} ${sign} ${Math.abs(row.noise).toFixed(2)} = ${number(row.logprob + row.noise)}`;
  cell.append(bar((row.logprob + row.noise - low) / span, 'fill'), part('span', 'value', sum));
  return cell;
}

opener.addEventListener('click', open);
dialog.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    event.preventDefault();
    event.stopPropagation(); // it lowers the inspector otherwise
    return dialog.close();
  }
  const within = event.target.closest('button, input, .save');
  const act = {
    ArrowRight: 'on', ArrowLeft: 'back', ArrowDown: 'later', ArrowUp: 'earlier', PageDown: 'later', PageUp: 'earlier',
    ' ': within ? '' : 'later', Home: 'first', End: 'end', h: 'hide', H: 'hide',
  }[event.key];
  if ((event.key === 'p' || event.key === 'P') && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    return play(!playing);
  }
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  play(false);
  if (act === 'hide') hide.checked = !hide.checked;
  acts[act]();
});
for (const button of dialog.querySelectorAll('[data-act]'))
  button.addEventListener('click', () => { play(false); acts[button.dataset.act](); });
dialog.querySelector('.play').addEventListener('click', () => play(!playing));
hide.addEventListener('change', acts.hide);
dialog.querySelector('.close').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => {
  play(false);
  opener.focus();
  if (!of || at === of.step) return;
  const { run, lane, output } = of;
  trigger('pick', { ...playground.reference.view(), run, lane, output, step: at });
});
playground.save(sheet, () => {
  const choice = known[at];
  if (!choice) return null;
  const columns = ['token', 'id', ...choice.moments.map(({ label }) => label), 'removed by', 'log-probability', 'noise', 'score', 'chosen'];
  const rows = choice.rows.map((row) => [row.label, row.id, ...row.levels,
    row.removed === null ? null : choice.moments[row.removed + 1].label, row.logprob, row.noise, row.score, Number(row.chosen)]);
  return { name: `choice-${of.letter}-token-${at + 1}`, columns, rows };
});
function show() { element.hidden = !props.value?.most; }
watch('value', show);
show();
