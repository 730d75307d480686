// What other settings would have made of a finished text, and the range in which each changes nothing. See
// ui/changes.py.
// value: {run, lane, output, step, written, sentence, colour, settings: [{name, label, value, low, high, step}],
//         ranges: {setting: {told, low, high}} of the whole text, or {fault}; token: the same of the inspected token;
//         both as far as they were known at once}
// Functions: what_if({run, lane, output, recipe, values}), and ranges({run, lane, output, step, text: [setting, …],
// token: [setting, …]}), which answers some of those that are asked for, where there is a server to ask.
// Event: go {run, lane, output, step, token, recipe}, in its turn.
const [figure, sentence, knobs, outcomes, progress] =
  ['.changes', '.sentence', '.knobs', '.outcomes', '.progress'].map((s) => element.querySelector(s));
const LOOKING = 'Looking how far it may go …';
let shown = null; // the text the knobs are of
let inspected = null; // the token whose ranges are shown
let moved = {}; // by setting, where it differs
let flying = false;
let again = false;
let ranges = {}; // by setting, the range in which the text stays the same
let own = {}; // and that in which the token does
let looking = false;
const column = () => document.querySelector(`#columns > .lane[data-lane="${props.value.lane}"]`);
const { part, counted } = playground;

function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  sentence.textContent = v.sentence;
  figure.style.setProperty('--colour', v.colour);
  const text = JSON.stringify([v.run, v.lane, v.output]);
  if (text !== shown) {
    [shown, moved, ranges] = [text, {}, {}];
    outcomes.replaceChildren();
    knobs.replaceChildren(...v.settings.map(knob));
  }
  [inspected, own] = [JSON.stringify([text, v.step]), {}];
  delete ranges.fault; // the text may be finished by now
  tell(v);
  look();
  ask();
}

function knob({ name, label, value, low, high, step }) {
  const row = part('label', 'knob');
  const [title, slider, at, told] = [part('b', ''), part('input', ''), part('output', ''), part('span', 'told')];
  told.append(part('span', 'whole'), part('span', 'one'));
  title.textContent = label;
  Object.assign(slider, { type: 'range', min: low, max: high, step });
  slider.value = value;
  at.textContent = value;
  row.dataset.name = name;
  slider.addEventListener('input', () => {
    moved = { ...moved, [name]: Number(slider.value) };
    at.textContent = slider.value;
    ask();
  });
  slider.addEventListener('dblclick', back);
  function back() {
    slider.value = value;
    at.textContent = value;
    delete moved[name];
    ask();
  }
  const reset = part('button', 'reset');
  Object.assign(reset, { type: 'button', textContent: `Back to ${value}` });
  reset.dataset.unsaved = '';
  reset.addEventListener('click', (event) => { event.preventDefault(); back(); });
  row.append(title, slider, at, told, reset);
  return row;
}

// One request at a time, and then the latest only.
async function ask() {
  if (flying) { again = true; return; }
  const { run, lane, output, written } = props.value;
  for (const row of knobs.children) row.classList.toggle('moved', row.dataset.name in moved);
  const now = column()?.dataset.written ?? written;
  const asked = [];
  if (Object.keys(moved).length) asked.push(['With these values', { recipe: written, values: moved }]);
  if (now !== written) asked.push([`With the recipe as column ${props.value.letter} has it now`, { recipe: now, values: {} }]);
  if (!asked.length) return outcomes.replaceChildren();
  flying = true;
  const answers = [];
  for (const [head, what] of asked) answers.push([head, await server.what_if({ run, lane, output, ...what })]);
  flying = false;
  if (again) { again = false; return ask(); }
  outcomes.replaceChildren(...answers.map(([head, answer]) => outcome(head, answer)));
}

function outcome(head, answer) {
  const line = part('p', 'outcome');
  line.textContent = `${head}: ${answer?.told ?? 'the server did not answer.'} `;
  line.dataset.kind = answer?.kind ?? 'unknown';
  if (!answer || answer.index === undefined) return line;
  const button = part('button', 'go');
  button.type = 'button';
  button.dataset.unsaved = '';
  const from = `from token ${answer.index + 1}`;
  button.textContent = answer.kind === 'unknown' ? `Let the model write it ${from}` : `Continue ${from}`;
  const { run, lane, output } = props.value;
  button.addEventListener('click', () => playground.turns.take(() => {
    trigger('go', { run, lane, output, step: answer.index, token: null, recipe: answer.recipe });
    return true;
  }));
  line.append(button);
  return line;
}

// What is known by now of the text and of the token.
function tell(found) {
  [ranges, own] = [{ ...ranges, ...found.ranges }, { ...own, ...found.token }];
  if (ranges.fault) sentence.textContent = ranges.fault;
  const still = server.ranges && !ranges.fault ? { told: LOOKING } : undefined;
  for (const row of knobs.children) {
    const { name } = row.dataset;
    band(row, ranges[name] ?? still, '.whole', 'known', ['--from', '--to']);
    band(row, own[name], '.one', 'token-known', ['--one-from', '--one-to']);
  }
}

// The settings of which something is not known yet.
function unknown() {
  const names = ranges.fault || !server.ranges ? [] : (props.value?.settings ?? []).map(({ name }) => name);
  return { token: names.filter((name) => !(name in own)), text: names.filter((name) => !(name in ranges)) };
}

// One request at a time, for all that is not known; what the answer has is shown, and the rest is asked for again.
async function look() {
  if (looking) return;
  looking = true;
  progress.textContent = '';
  for (let left = unknown(); left.token.length + left.text.length; left = unknown()) {
    if (left.text.length) progress.textContent = `Looking how far ${counted(left.text.length, 'setting')} may go …`;
    const { run, lane, output, step } = props.value;
    const [text, token] = [shown, inspected];
    const { token: one, ranges: whole } = (await server.ranges({ run, lane, output, step, ...left }).catch(() => null))
      ?? { ranges: { fault: 'The server did not answer.' } };
    if (text !== shown) continue;
    // Whatever the answer, the first that was asked for is not asked for again.
    const none = ([name]) => (name ? { [name]: { told: '' } } : {});
    tell({
      ranges: { ...(left.token.length ? {} : none(left.text)), ...whole },
      token: token === inspected ? { ...none(left.token), ...one } : {},
    });
  }
  if (progress.textContent) progress.textContent = ranges.fault ? '' : 'How far each setting may go is shown.';
  looking = false;
}

function band(row, found, place, name, ends) {
  const slider = row.querySelector('input');
  const share = (x) => `${Math.max(0, Math.min(100, (100 * (x - slider.min)) / (slider.max - slider.min)))}%`;
  row.querySelector(place).textContent = found?.told ?? '';
  const known = found?.low !== undefined;
  row.classList.toggle(name, known);
  if (known) [found.low, found.high].forEach((value, i) => row.style.setProperty(ends[i], share(value)));
}

document.addEventListener('playground:setup', function changed() {
  if (!element.isConnected) return document.removeEventListener('playground:setup', changed);
  if (props.value && element.offsetParent) ask();
});
function table() {
  const rows = props.value.settings.map(({ name, value }) => {
    const { low, high, told } = ranges[name] ?? {};
    return [name, value, low, high, told];
  });
  const name = `slack-${props.value.letter}`;
  return { name, columns: ['setting', 'value', 'same text from', 'same text to', 'told'], rows };
}

playground.save(figure, table);
watch('value', draw);
draw();
