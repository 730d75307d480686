// A vote, question by question. Texts enter the page by textContent alone.
const at = (id) => document.getElementById(id);
const ballot = location.pathname.split('/').filter(Boolean).pop();
const address = (path) => new URL(`../api/ballots/${encodeURIComponent(ballot)}/${path}`, location.href);
const buttons = [...document.querySelectorAll('.answers button')];
const [answers, onward] = ['.answers', '.onward'].map((s) => document.querySelector(s));
const KEYS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowDown: 'tie', ArrowUp: 'both bad' };
let question = null; // the question on the page, until it is answered
let next = null; // the question after it
let busy = false;

// A name for this browser alone, so that nobody gets the same question twice.
function name() {
  const made = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
  try {
    const kept = localStorage.getItem('playground-voter') ?? made;
    localStorage.setItem('playground-voter', kept);
    return kept;
  } catch { return made; }
}
const voter = name();

function note(text, bad) {
  at('note').textContent = text;
  at('note').hidden = !text;
  at('note').classList.toggle('bad', Boolean(bad));
}

// Requests again where the server is busy or away; any other refusal is shown.
async function ask(path, options) {
  for (;;) {
    let answer = null;
    try { answer = await fetch(address(path), options); } catch { /* away */ }
    if (answer?.ok) { note(''); return answer.json(); }
    if (answer && answer.status !== 429 && answer.status < 500) {
      const told = await answer.json().catch(() => null);
      throw new Error(told?.detail?.[0]?.msg ?? 'The server did not take this.');
    }
    note(answer ? 'Many are voting; yours is sent again in a moment.' : 'The server does not answer; this page asks again.');
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(10, Number(answer?.headers.get('Retry-After')) || 2)));
  }
}

function show(state) {
  question = state.question;
  at('count').textContent = `You have cast ${state.own}; all together ${state.votes} of at most ${state.most}.`;
  at('question').hidden = !question;
  if (!question) {
    note(state.over || 'You have seen all there is. Thank you.');
    return;
  }
  at('prompt').textContent = question.prompt;
  for (const part of ['left', 'right']) at(part).textContent = question[part].trim(); // of lines that are empty
  at('left-name').textContent = at('right-name').textContent = '';
  answers.hidden = false;
  onward.hidden = true;
  for (const button of buttons) button.disabled = false;
  document.body.dataset.unit = question.unit;
  document.body.dataset.state = 'asks';
}

async function vote(answer) {
  if (busy || !question || document.body.dataset.state !== 'asks') return;
  busy = true;
  for (const button of buttons) button.disabled = true;
  try {
    const told = await ask('votes', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ voter, unit: question.unit, answer }),
    });
    at('left-name').textContent = told.left;
    at('right-name').textContent = told.right;
    at('count').textContent = `You have cast ${told.next.own}; all together ${told.next.votes} of at most ${told.next.most}.`;
    next = told.next;
    answers.hidden = true;
    onward.hidden = false;
    document.body.dataset.state = 'told';
    at('onward').focus();
  } catch (error) {
    await begin();
    if (question) note(error.message, true); // else the page shows why there is no question
  } finally {
    busy = false;
  }
}

function go() {
  if (document.body.dataset.state !== 'told' || !next) return;
  const state = next;
  next = null;
  document.body.dataset.state = '';
  show(state);
}

async function begin() {
  try {
    show(await ask(`next?voter=${encodeURIComponent(voter)}`));
  } catch (error) {
    at('question').hidden = true;
    note(error.message, true);
  }
}

for (const button of buttons) button.addEventListener('click', () => vote(button.dataset.answer));
at('onward').addEventListener('click', go);
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (KEYS[event.key] && document.body.dataset.state === 'asks') {
    event.preventDefault();
    vote(KEYS[event.key]);
  }
});
begin();
